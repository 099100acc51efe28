"""The table of layers: how far each is apart, in inference and as fit runs it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.text import Text

from equivcheck.report.numbers import ABSENT, number
from equivcheck.report.terminal.folding import Folded, folded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equivcheck.measured import LayerRow
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page

#: Below this many columns the kind stands under the layer's name.
_WIDE = 110

_FLAGS: Mapping[bool | None, str] = {True: "True", False: "False", None: ABSENT}
_LEGEND = (
    "Both arms were fed identical batches. abs: largest absolute difference of the outputs in inference; rel: the same "
    "divided by the bottleneck's largest activation; fit rel: rel as fit runs the layers; flag: the training= that the "
    "layer received in fit. A source makes a difference, propagated layers hand it on. The noise floor is how far a "
    "layer's output moves when the input is changed by one rounding."
)
_NOT_COMPARED = (
    "The samples of the two arms could not be matched, so no layer was compared. A bottleneck arm from your own code "
    "can name the images behind its features: see images in equivcheck.arms.protocol."
)


def layers(page: Page, report: Report, *, everything: bool) -> None:
    """Writes the layers that matter, or all of them."""
    if not report.layers:
        return
    page.heading(f"Where the arms part, layer by layer ({len(report.layers)} layers)")
    wide = page.width >= _WIDE
    shared = "" if wide else _shared_container(report)
    compared = any(row.inference or row.training for row in report.layers)
    short = f" …/ stands for {shared}." if shared else ""
    page.paragraph((_LEGEND if compared else _NOT_COMPARED) + short, "dim")
    if compared:
        page.paragraph(_parting(report))
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


def _parting(report: Report) -> str:
    """Both first divergences, with who made them, in a sentence each."""
    rows = {row.name: row for row in report.layers}
    told = []
    for mode, name in (("inference", report.first_divergence.inference), ("fit", report.first_divergence.training)):
        row = rows.get(name or "")
        if row is None:
            told.append(f"In {mode} no layer differs.")
            continue
        gap = row.training if mode == "fit" else row.inference
        times = f", {number(gap.multiple)} times its noise floor" if gap is not None and gap.multiple else ""
        gone = f" It is gone again behind {row.undone_by}." if row.undone_by else ""
        told.append(f"In {mode} the first layer to differ is {row.name}{times}.{gone}")
    return " ".join(told)


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
            _FLAGS[row.training_flag.fit],
            ", ".join([_role(row), *_notes(row, report)]),
        )
    ]


def _role(row: LayerRow) -> str:
    if row.role is not None:
        return row.role
    if row.bottleneck is None:
        return "only in the frozen arm"
    return "only in the bottleneck arm" if row.frozen is None else "not compared"


def _notes(row: LayerRow, report: Report) -> list[str]:
    first = report.first_divergence
    notes = {
        "first to differ in inference": row.name == first.inference,
        "first to differ in fit": row.name == first.training,
        "stochastic": row.stochastic,
        "batch statistics": row.batch_dependent,
        "moved though not trainable": row.moved and not row.trainable,
        "moved": row.moved and row.trainable,
        "trainable but not moved": row.trainable and not row.moved,
    }
    return [note for note, holds in notes.items() if holds]


def _style(row: LayerRow) -> str:
    return {"source": "bold red", "equal": "dim"}.get(row.role or "", "")
