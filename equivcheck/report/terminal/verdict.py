"""The verdict in one line, and the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from equivcheck.report.curve_gap import METRIC_NAMES, gap
from equivcheck.report.numbers import is_accuracy, points

if TYPE_CHECKING:
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page

_STYLES = {"divergent": "bold red", "equivalent": "bold green", "inconclusive": "bold yellow"}


def verdict(page: Page, report: Report) -> None:
    """Writes the verdict, the gap and the summary."""
    line = Text.assemble(
        page.prose(report.verdict.upper(), _STYLES[report.verdict]), "  ", page.name(report.name, "bold")
    )
    for metric in filter(is_accuracy, METRIC_NAMES):
        if found := gap(report.curves, metric):
            line.append_text(page.prose(f"  gap of final {METRIC_NAMES[metric]} {points(100 * found.final)}"))
            break
    page.write(line)
    page.blank()
    page.paragraph(report.summary)
