
"use strict";
(() => {
  for (const button of document.querySelectorAll(".copy")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.nextElementSibling.textContent + "\n");
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  const table = document.getElementById("tree");
  if (!table) return;
  const body = table.tBodies[0];
  const which = document.getElementById("which");
  const find = document.getElementById("find");
  const order = document.getElementById("order");
  const shown = document.getElementById("shown");

  // Every row with its full path and the containers that it lies in, outermost first.
  const rows = [];
  const open = [];
  for (const line of body.rows) {
    const depth = Number(/\bd(\d)/.exec(line.className)[1]);
    open.length = depth - 1;
    const head = line.cells[0];
    const row = {
      line, head, within: open.slice(), label: head.textContent, closed: false,
      container: line.classList.contains("c"), layer: line.cells.length > 2, telling: line.classList.contains("t"),
      differs: line.classList.contains("source") || line.classList.contains("propagated"),
    };
    row.path = [...row.within.map((outer) => outer.label), row.label].join("/");
    open.push(row);
    rows.push(row);
    if (row.container) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-label", `layers in ${row.path}`);
      button.addEventListener("click", () => { row.closed = !row.closed; show(); });
      head.prepend(button);
      row.button = button;
    }
  }

  let sorted = null;

  function show() {
    const words = find.value.trim().toLowerCase();
    const matches = (row) => row.layer
      && (which.value === "all" || (which.value === "differs" ? row.differs : row.telling))
      && (!words || row.line.textContent.toLowerCase().includes(words) || row.path.toLowerCase().includes(words));
    const wanted = new Set(rows.filter(matches));
    const holding = new Set([...wanted].flatMap((row) => row.within));
    for (const row of rows) {
      const here = wanted.has(row) || (!sorted && holding.has(row));
      row.line.hidden = !here || (!sorted && row.within.some((outer) => outer.closed));
      row.head.lastChild.textContent = sorted ? row.path : row.label;
      if (row.button) {
        row.button.hidden = Boolean(sorted);
        row.button.textContent = row.closed ? "▸" : "▾";
        row.button.setAttribute("aria-expanded", String(!row.closed));
      }
    }
    table.classList.toggle("flat", Boolean(sorted));
    order.hidden = !sorted;
    shown.textContent = `${wanted.size} of ${rows.filter((row) => row.layer).length} layers`;
  }

  // Numbers as the page writes them; what is no number comes last.
  function valueOf(row, column) {
    const text = column ? row.line.cells[column].textContent : row.path;
    const number = Number(text.replace("−", "-").replaceAll(",", ""));
    return text === "infinity" ? Infinity : text !== "" && !Number.isNaN(number) ? number : text;
  }

  function compare(one, other) {
    const numbers = [one, other].filter((value) => typeof value === "number").length;
    if (numbers === 2) return one - other;
    if (numbers === 1) return typeof one === "number" ? 1 : -1;
    return one < other ? -1 : one > other ? 1 : 0;
  }

  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      // Of numbers the largest matter, of words the first.
      const first = header.classList.contains("number") ? "descending" : "ascending";
      const again = sorted && sorted.column === column && sorted.direction === first;
      sorted = { column, direction: again ? (first === "descending" ? "ascending" : "descending") : first };
      const sign = sorted.direction === "ascending" ? 1 : -1;
      const layers = rows.filter((row) => row.layer);
      layers.sort((one, other) => sign * compare(valueOf(one, column), valueOf(other, column)));
      body.append(...layers.map((row) => row.line));
      headers.forEach((each) => each.setAttribute("aria-sort", each === header ? sorted.direction : "none"));
      show();
    });
  });

  order.addEventListener("click", () => {
    sorted = null;
    body.append(...rows.map((row) => row.line));
    headers.forEach((each) => each.setAttribute("aria-sort", "none"));
    show();
    headers[0].querySelector("button").focus();
  });
  which.addEventListener("change", show);
  find.addEventListener("input", show);
  document.querySelector(".controls").hidden = false;
  // Where nothing matters more than the rest, the rest is what there is to see.
  if (rows.filter((row) => row.telling && row.layer).length < 2) which.value = "all";
  show();
})();
