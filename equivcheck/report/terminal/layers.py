"""The table of layers: how far each is apart, in inference and as fit runs it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from equivcheck.report.folding import Folded, folded
from equivcheck.report.layer_words import FLAGS, LEGEND, NOT_COMPARED, notes, parting, role
from equivcheck.report.numbers import ABSENT, number

if TYPE_CHECKING:
    from equivcheck.measured import LayerRow
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page

#: Below this many columns the kind stands under the layer's name.
_WIDE = 110


def layers(page: Page, report: Report, *, everything: bool) -> None:
    """Writes the layers that matter, or all of them."""
    if not report.layers:
        return
    page.heading(f"Where the arms part, layer by layer ({len(report.layers)} layers)")
    wide = page.width >= _WIDE
    shared = "" if wide else _shared_container(report)
    compared = any(row.inference or row.training for row in report.layers)
    short = f" …/ stands for {shared}." if shared else ""
    page.paragraph((LEGEND if compared else NOT_COMPARED) + short, "dim")
    if compared:
        page.paragraph(parting(report))
    page.blank()
    names = ("layer", "kind") if wide else ("layer",)
    table = page.table(*names, "abs", "rel", "fit rel", "flag", "role", numeric=("abs", "rel", "fit rel"))
    for row in report.layers if everything else folded(report):
        if isinstance(row, Folded):
            blanks = [""] * (len(table.columns) - 2)
            table.add_row(page.prose(f"… {row.count} layers"), *blanks, page.prose(row.roles), style="dim")
        else:
            path = "…/" + row.name.removeprefix(shared) if shared and row.name.startswith(shared) else row.name
            named = (page.name(path), page.name(row.kind))
            table.add_row(
                *(named if wide else (Text("\n  ").join(named),)), *_cells(page, row, report), style=_style(row)
            )
    page.write(table)


def _shared_container(report: Report) -> str:
    """The container that most layers lie in, with its slash: said once, where columns are few."""
    containers = Counter(row.name.partition("/")[0] for row in report.layers if "/" in row.name)
    if not containers:
        return ""
    name, count = containers.most_common(1)[0]
    return f"{name}/" if 2 * count > len(report.layers) else ""


def _cells(page: Page, row: LayerRow, report: Report) -> list[Text]:
    inference, training = row.inference, row.training
    return [
        page.prose(text)
        for text in (
            number(inference.max_abs) if inference else ABSENT,
            number(inference.max_rel) if inference else ABSENT,
            number(training.max_rel) if training else ABSENT,
            FLAGS[row.training_flag.fit],
            ", ".join([role(row), *notes(row, report)]),
        )
    ]


def _style(row: LayerRow) -> str:
    return {"source": "bold red", "equal": "dim"}.get(row.role or "", "")
