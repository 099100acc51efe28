"""The verdict in one line, and the summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from equivcheck.report.curve_gap import METRIC_NAMES, headline
from equivcheck.report.numbers import points

if TYPE_CHECKING:
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page

_STYLES = {"divergent": "bold red", "equivalent": "bold green", "inconclusive": "bold yellow"}


def verdict(page: Page, report: Report) -> None:
    """Writes the verdict, the gap and the summary."""
    line = Text.assemble(
        page.prose(report.verdict.upper(), _STYLES[report.verdict]), "  ", page.name(report.name, "bold")
    )
    if found := headline(report.curves):
        line.append_text(page.prose(f"  gap of final {METRIC_NAMES[found.metric]} {points(100 * found.final)}"))
    page.write(line)
    page.blank()
    page.paragraph(report.summary)
