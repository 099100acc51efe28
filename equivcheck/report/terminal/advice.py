"""What came of following advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.advice import HEADERS, HEADING, cells, remarks, subject

if TYPE_CHECKING:
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page


def advice(page: Page, report: Report) -> None:
    """Writes the effect of each advice on the gap."""
    if not report.what_if:
        return
    page.heading(HEADING)
    page.paragraph(subject(report.what_if))
    page.blank()
    table = page.table(*HEADERS, numeric=HEADERS[2:])
    for found in report.what_if:
        said, effect, *numbers = cells(found)
        table.add_row(page.prose(said), page.prose(effect, "bold"), *map(page.prose, numbers))
    page.write(table)
    page.blank()
    for remark in remarks(report.what_if):
        page.paragraph(remark)
