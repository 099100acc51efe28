"""The curves that the user already had, as their files tell them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.curve_gap import METRIC_NAMES
from equivcheck.report.numbers import is_accuracy
from equivcheck.report.observed_facts import FACTS, curves_of, final, logs_of, remarks
from equivcheck.report.terminal.curves import drawing, legend

if TYPE_CHECKING:
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page


def observed(page: Page, report: Report) -> None:
    """Writes the observed accuracies over each other, and a row of facts for each file."""
    logs = logs_of(report)
    if not logs:
        return
    page.heading("Curves that you already have")
    page.paragraph(" · ".join(legend(logs)), "dim")
    page.blank()
    told = tuple(curve for arm, log in logs.items() for curve in curves_of(arm, log))
    for metric in METRIC_NAMES:
        if is_accuracy(metric) and (text := drawing(page, told, metric)):
            page.write(text)
            page.blank()
    table = page.table("", *logs)
    for label, fact in FACTS.items():
        table.add_row(page.prose(label), *(page.name(fact(log)) for log in logs.values()))
    for metric, name in METRIC_NAMES.items():
        if any(metric in log["metrics"] for log in logs.values()):
            table.add_row(page.prose(f"final {name}"), *(page.prose(final(log, metric)) for log in logs.values()))
    page.write(table)
    for arm, log in logs.items():
        for remark in remarks(log):
            page.paragraph(f"{arm}: {remark}.", "dim")
