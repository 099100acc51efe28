"""The findings: what, where, how much, why it matters, and how it is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from equivcheck.findings import SEVERITIES, Finding, Severity
from equivcheck.report.finding_words import HEADINGS, VERIFIED, arm_of, in_file, patch_of, place_of, share_of, why
from equivcheck.report.numbers import measured
from equivcheck.report.ranking import of_severity
from equivcheck.report.terminal.accounting import accounting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equivcheck.measured import Attribution
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page

_STYLES: Mapping[Severity, str] = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}

#: Under the title, which stands after its number.
_INDENT = 4


def findings(page: Page, report: Report) -> None:
    """Writes all findings, numbered through: errors, then warnings, then notes."""
    number = 0
    for severity in SEVERITIES:
        if chosen := of_severity(report.findings, severity):
            page.heading(HEADINGS[severity])
        for finding in chosen:
            number += 1
            if finding is not chosen[0]:
                page.blank()
            _finding(page, number, finding, report.attribution)
        if severity == "error" and chosen and report.attribution:
            accounting(page, report.attribution, report.findings)


def _finding(page: Page, number: int, finding: Finding, attribution: Attribution | None) -> None:
    title = Text.assemble(page.name(finding.code, _STYLES[finding.severity]), "  ", page.prose(finding.title, "bold"))
    page.write(page.labelled([(f"{number}.", title)]))
    rows = [("where", _where(page, finding))]
    if finding.measured:
        rows.append(("measured", page.prose(measured(finding.measured))))
    if finding.share is not None:
        rows.append(("share", page.prose(share_of(finding, attribution))))
    page.write(page.labelled(rows), _INDENT)
    page.paragraph(f"{why(finding)}:", "bold", indent=_INDENT)
    page.paragraph(finding.message, indent=_INDENT + 2)
    if finding.repair:
        _repair(page, finding)


def _where(page: Page, finding: Finding) -> Text:
    parts = [page.name(part) for part in (in_file(finding), place_of(finding).layer) if part]
    return page.prose(" · ").join([page.prose(arm_of(finding)), *parts])


def _repair(page: Page, finding: Finding) -> None:
    assert finding.repair
    page.paragraph("repair:", "bold", indent=_INDENT)
    page.paragraph(finding.repair.text, indent=_INDENT + 2)
    if patch := patch_of(finding):
        page.write(page.verbatim(patch, "green"), _INDENT + 4)
    page.write(page.labelled([("verified", page.prose(VERIFIED[finding.verified]))]), _INDENT)
