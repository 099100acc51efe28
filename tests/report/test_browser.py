"""The HTML report in a real browser: no complaint on the console, and it can be worked with."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from equivcheck.report.html import render
from equivcheck.report.model import Report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="there is no Chromium")]

#: What the tests' own scripts use.
SCRIPT = """<script>
const $ = (selector) => [...document.querySelectorAll(selector)];
const visible = () => $("#tree tbody tr").filter((row) => !row.hidden).map((row) => row.cells[0].lastChild.textContent);
const choose = (id, value) => {{
  const input = document.getElementById(id);
  input.value = value;
  input.dispatchEvent(new Event(id === "which" ? "change" : "input"));
}};
const header = (text) => $("#tree thead button").find((button) => button.textContent === text);
document.title = JSON.stringify((() => {{ {body} }})());
</script></body>"""

#: The lowest contrast of any text with what lies behind it; 4.5 is what WCAG 2.2 asks for (level AA).
CONTRAST = """
const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return { rgb: [r, g, b], a }; };
const light = (rgb) => rgb.map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92
  : ((part + 0.055) / 1.055) ** 2.4).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
const behind = (element) => {
  for (let each = element; each; each = each.parentElement) {
    const colour = parse(getComputedStyle(each).backgroundColor);
    if (colour.a > 0) return colour.rgb;
  }
};
let worst = [99, ""];
for (const element of $("body *")) {
  if (![...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) continue;
  if (element.closest("script, title, .hidden, .skip")) continue;
  const style = getComputedStyle(element);
  const colour = parse(element.closest("svg") ? style.fill : style.color).rgb;
  const [one, other] = [light(colour), light(behind(element))];
  const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  if (ratio < worst[0]) worst = [ratio, element.outerHTML.slice(0, 80)];
}
return [worst, matchMedia("(prefers-color-scheme: dark)").matches];
"""


def opened(page, folder, *options):
    """The page as the browser made it, and what it said on its console."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--enable-logging=stderr", "--v=0", "--virtual-time-budget=3000", "--dump-dom", *options]
    result = subprocess.run(
        [*command, (folder / "page.html").as_uri()], check=True, capture_output=True, text=True, timeout=120
    )
    return result.stdout, [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def asked(page, folder, body, *options):
    """What a script finds out in the page; the policy, which forbids all scripts but the page's own, is taken out."""
    open_page = re.sub(r"<meta http-equiv=.*", "", page)
    dom, said = opened(open_page.replace("</body>", SCRIPT.format(body=body)), folder, *options)
    assert said == []
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dom)[1]))


def test_it_opens_without_a_complaint_and_its_script_runs(report, tmp_path):
    dom, said = opened(render(report), tmp_path)
    assert said == []
    assert re.search(r'id="shown"[^>]*>12 of 57 layers<', dom)
    assert dom.count("<figure>") == 4
    for section in ("summary", "curves", "accounting", "errors", "settings", "layers", "cleared"):
        assert f'<section id="{section}"' in dom


def test_the_policy_stops_foreign_scripts(report, tmp_path):
    _, said = opened(render(report).replace("</body>", "<script>document.title = 'x'</script></body>"), tmp_path)
    assert any("Content Security Policy" in line for line in said)


def test_foreign_text_runs_nothing(tmp_path):
    text = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'></title></style></script>"
    page = render(Report(name=text, verdict="divergent", summary=text, versions={text: text}))
    dom, said = opened(page, tmp_path)
    assert said == []
    assert dom.count("<script>") == 1


def test_layers_are_sorted_and_put_back(report, tmp_path):
    before, order, sort, after, back, first = asked(
        render(report),
        tmp_path,
        """
        const before = visible();
        header("fit rel").click();
        const order = visible();
        const sort = $("#tree thead th").map((each) => each.ariaSort).filter((each) => each !== "none");
        header("fit rel").click();
        const after = visible();
        document.getElementById("order").click();
        return [before, order, sort, after, visible(), before.length];
        """,
    )
    rel = {row.name: row.training.max_rel for row in report.layers}
    assert sort == ["descending"]
    assert [rel[name] for name in order] == sorted((rel[name] for name in order), reverse=True)
    assert [rel[name] for name in after] == sorted(rel[name] for name in order)
    assert back == before
    assert before[:3] == ["backbone", "conv2d_1", "conv2d_1_bn"]
    assert first > len(order)


def test_layers_are_filtered_found_and_folded(report, tmp_path):
    everything, differing, found, folded, expanded = asked(
        render(report),
        tmp_path,
        """
        choose("which", "all");
        const everything = visible().length;
        choose("which", "differs");
        const differing = visible().length;
        choose("find", "DROPOUT");
        const found = visible();
        choose("find", "");
        $("#tree tbody button")[0].click();
        return [everything, differing, found, visible(), $("#tree tbody button")[0].getAttribute("aria-expanded")];
        """,
    )
    containers = 2
    assert everything == len(report.layers) + containers
    assert differing == sum(row.role != "equal" for row in report.layers) + containers
    assert found == ["backbone", "dropout"]
    assert folded == ["backbone", "head", "dense"]
    assert expanded == "false"


def test_it_can_be_worked_with_by_keyboard(report, tmp_path):
    mute, nameless = asked(
        render(report),
        tmp_path,
        """
        const working = $("button, a, select, input, summary, .scroll");
        return [
          working.filter((each) => each.tabIndex < 0).map((each) => each.outerHTML.slice(0, 80)),
          $("button, select, input, .scroll, svg[role=img]").filter((each) => !(each.textContent.trim()
            || each.ariaLabel || each.labels?.length || each.getAttribute("aria-labelledby"))).length,
        ];
        """,
    )
    assert (mute, nameless) == ([], 0)


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(report, tmp_path, dark):
    scheme = f"--blink-settings=preferredColorScheme={int(not dark)}"
    (worst, where), is_dark = asked(render(report), tmp_path, CONTRAST, scheme)
    assert is_dark is dark
    assert worst >= 4.5, where


@pytest.mark.parametrize("width", [340, 700, 1280, 2000])
def test_it_is_never_wider_than_the_window(report, tmp_path, width):
    long = replace(report, name="y" * 300, summary="z" * 300, findings=(replace(report.findings[0], title="t" * 300),))
    inner = html.escape(render(long))
    page = f"""<!DOCTYPE html><title></title><body><iframe width={width} height=900 srcdoc="{inner}"></iframe></body>"""
    body = """
        const inner = $("iframe")[0].contentDocument.documentElement;
        return [inner.scrollWidth, inner.clientWidth];
    """
    whole, seen = asked(page, tmp_path, body, "--window-size=2200,1000")
    assert whole <= seen
