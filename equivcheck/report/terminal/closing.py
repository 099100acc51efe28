"""What was cleared, what was skipped, and where to go from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from equivcheck.findings import SEVERITIES
from equivcheck.report.numbers import measured
from equivcheck.report.phase_words import in_phases
from equivcheck.report.prose import counted, listed
from equivcheck.report.ranking import of_severity, ranked

if TYPE_CHECKING:
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page


def cleared(page: Page, report: Report) -> None:
    """Writes the differences that were measured and found harmless."""
    if not report.cleared:
        return
    page.heading("Different, but measured to be harmless")
    for difference in report.cleared:
        page.write(
            Text.assemble(
                page.name(difference.code, "bold green"),
                "  ",
                page.prose(difference.name.replace("-", " "), "bold"),
                page.prose(in_phases(difference.phases)),
            )
        )
        page.paragraph(difference.message, indent=2)
        if difference.measured:
            page.paragraph(f"measured: {measured(difference.measured)}", "dim", indent=2)


def skipped(page: Page, report: Report, *, everything: bool) -> None:
    """Writes the checks that did not judge, and why; those that broke in any case."""
    shown = [check for check in report.skipped if everything or check.failed]
    if not shown:
        return
    page.heading("Checks that did not judge")
    page.write(page.labelled([(check.code, page.prose(check.reason)) for check in shown]))


def closing(page: Page, report: Report) -> None:
    """Writes the counts and how to learn more."""
    page.blank()
    counts = listed([counted(len(of_severity(report.findings, severity)), severity) for severity in SEVERITIES])
    line = page.prose(f"{counts[0].upper()}{counts[1:]}.", "bold")
    if report.findings:
        code = ranked(report.findings)[0].code
        line.append_text(page.prose(f" Learn more: equivcheck explain {code}"))
    page.write(line)
