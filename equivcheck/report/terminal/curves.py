"""The curves of both arms, drawn, and what each came to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from rich.table import Table

from equivcheck.report.curve_gap import METRIC_NAMES, values_of
from equivcheck.report.curve_names import drawable, final, name_of
from equivcheck.report.numbers import is_accuracy, metric_value
from equivcheck.report.phase_words import differing, end_metrics, ends, marks
from equivcheck.report.terminal.plot import SEVERAL, plot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rich.text import Text

    from equivcheck.measured import Curve
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page


class _Look(NamedTuple):
    letter: str
    style: str


#: How the curves of ``DRAWN`` are drawn.
_DRAWN: Mapping[str, _Look] = {
    "bottleneck": _Look("B", "bold cyan"),
    "frozen": _Look("F", "bold magenta"),
    "repaired": _Look("R", "bold green"),
}

#: From this width on two drawings stand side by side.
_WIDE = 110
_MOST_COLUMNS = 90
_LINES = 11


def curves(page: Page, report: Report, *, losses: bool) -> None:
    """Writes one drawing a metric, then the final values; losses are drawn on demand or where nothing else is."""
    metrics = [name for name in METRIC_NAMES if any(curve.metric == name for curve in report.curves)]
    if not metrics:
        return
    page.heading("Curves")
    page.paragraph(" · ".join(legend({curve.arm for curve in report.curves})), "dim")
    page.blank()
    drawn = [name for name in metrics if is_accuracy(name) or losses] or metrics
    drawings = [text for metric in drawn if (text := drawing(page, report.curves, metric, marks(report.phases)))]
    beside = 2 if page.width >= _WIDE else 1
    for start in range(0, len(drawings), beside):
        row = Table.grid(padding=(0, 4, 0, 0))
        row.add_row(*drawings[start : start + beside])
        page.write(row)
        page.blank()
    _finals(page, report, metrics)
    if report.phases:
        _phases(page, report)


def legend(arms: Collection[str]) -> list[str]:
    """What the letters of a drawing mean."""
    letters = [f"{look.letter} {name_of(arm)}" for arm, look in _DRAWN.items() if arm in arms]
    return [*letters, f"{SEVERAL} several of them"]


def drawing(page: Page, curves: Sequence[Curve], metric: str, phases: Sequence[tuple[float, str]] = ()) -> Text | None:
    """One metric of all arms, drawn; None where there is nothing to draw."""
    series = {look.letter: values_of(curves, arm, metric) for arm, look in _DRAWN.items()}
    series = {letter: values for letter, values in series.items() if any(map(drawable, values))}
    if not series:
        return None
    available = (page.width - 4) // 2 if page.width >= _WIDE else page.width
    text = plot(
        series,
        _limits(metric, [value for values in series.values() for value in values if drawable(value)]),
        (min(available, _MOST_COLUMNS), _LINES),
        lambda value: metric_value(metric, value),
        ascii_only=page.ascii_only,
        marks=phases,
    )
    drawn = page.verbatim(text)
    for look in _DRAWN.values():
        # Nothing else in a drawing is a capital letter.
        drawn.highlight_words([look.letter], look.style)
    return page.prose(f"{METRIC_NAMES[metric]}\n", "bold").append_text(drawn)


def _phases(page: Page, report: Report) -> None:
    page.blank()
    table = page.table("phase", "", "arm", *(METRIC_NAMES[metric].replace(" ", "\n") for metric in end_metrics(report)))
    for name, epochs, arm, values in ends(report):
        table.add_row(page.name(name), page.prose(epochs), page.prose(arm), *map(page.prose, values))
    page.write(table)
    page.blank()
    headers = ("frozen arm:\nscalars moved\nby one step", "layers on\nbatch statistics", "arms part in fit at")
    table = page.table("phase", *headers)
    for name, moved, live, parting in differing(report):
        table.add_row(page.name(name), page.prose(moved), page.prose(live), page.name(parting))
    page.write(table)


def _limits(metric: str, values: Sequence[float]) -> tuple[float, float]:
    """Round limits that hold all values: accuracies to the next ten percent, losses from zero up."""
    if not is_accuracy(metric):
        return min(0.0, *values), max(*values, 1e-12)
    low, high = math.floor(10 * min(values)) / 10, math.ceil(10 * max(values)) / 10
    if low == high:
        return (low - 0.1, high) if low > 0 else (low, high + 0.1)
    return low, high


def _finals(page: Page, report: Report, metrics: Sequence[str]) -> None:
    # Each word on its own line, so that four numbers and the names fit into 80 columns.
    table = page.table("", "final values", *(METRIC_NAMES[metric].replace(" ", "\n") for metric in metrics))
    for arm in dict.fromkeys(curve.arm for curve in report.curves):
        drawn = _DRAWN.get(arm)
        table.add_row(
            page.prose(drawn.letter, drawn.style) if drawn else "",
            page.name(name_of(arm)),
            *(page.prose(final(report.curves, arm, metric)) for metric in metrics),
        )
    page.write(table)
