"""The findings: what, where, how much, why it matters, and how it is undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from equivcheck.findings import SEVERITIES, Finding, Repair, Severity
from equivcheck.location import Location
from equivcheck.report.numbers import measured, metric_share
from equivcheck.report.prose import counted, listed
from equivcheck.report.ranking import of_severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equivcheck.measured import Attribution
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page

_HEADINGS: Mapping[Severity, str] = {
    "error": "Causes",
    "warning": "Warnings: defects that both arms share, or that will bite later",
    "note": "Notes",
}
_STYLES: Mapping[Severity, str] = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}
_VERIFIED: Mapping[bool | None, str] = {
    True: "yes: the repair was applied and the finding was gone",
    False: "no: the repair was applied, but the finding was still there",
    None: "not tried",
}

#: Trainings below which a share has no interval.
FEW = 3

#: Under the title, which stands after its number.
_INDENT = 4


def findings(page: Page, report: Report) -> None:
    """Writes all findings, numbered through: errors, then warnings, then notes."""
    number = 0
    for severity in SEVERITIES:
        if chosen := of_severity(report.findings, severity):
            page.heading(_HEADINGS[severity])
        for finding in chosen:
            number += 1
            if finding is not chosen[0]:
                page.blank()
            _finding(page, number, finding, report.attribution)
        if severity == "error" and chosen and report.attribution:
            _attribution(page, report.attribution)


def _attribution(page: Page, found: Attribution) -> None:
    """What the shares leave open: causes that act together, and what none explains."""
    metric = found["metric"]
    page.blank()
    for interaction in found["interactions"]:
        page.paragraph(
            f"{listed(interaction['codes'])} act together: {metric_share(metric, interaction['share'])} beyond "
            "what each makes alone; contained in their shares."
        )
    page.paragraph(
        f"Unexplained by these causes: {metric_share(metric, found['residual'])} of the gap of "
        f"{metric_share(metric, found['gap'])}."
    )
    if found["repetitions"] < FEW:
        page.paragraph(
            f"This rests on {counted(found['repetitions'], 'training')} of each counterfactual: too few to say how "
            "much chance is in it."
        )
    if found["missing"]:
        page.paragraph(f"Not everything was replayed: {found['missing']}. More time: --budget SECONDS.")


def _finding(page: Page, number: int, finding: Finding, attribution: Attribution | None) -> None:
    title = Text.assemble(page.name(finding.code, _STYLES[finding.severity]), "  ", page.prose(finding.title, "bold"))
    page.write(page.labelled([(f"{number}.", title)]))
    why = "why it separates the curves" if finding.severity == "error" else "why it matters"
    rows = [("where", _where(page, finding))]
    if finding.measured:
        rows.append(("measured", page.prose(measured(finding.measured))))
    if finding.share is not None:
        rows.append(("share", page.prose(_share(finding, attribution))))
    page.write(page.labelled(rows), _INDENT)
    page.paragraph(f"{why}:", "bold", indent=_INDENT)
    page.paragraph(finding.message, indent=_INDENT + 2)
    if finding.repair:
        _repair(page, finding.repair, finding.verified)


def _where(page: Page, finding: Finding) -> Text:
    arm = "both arms" if finding.arm == "both" else f"{finding.arm} arm"
    place = finding.location or Location(layer=finding.layer)
    in_file = str(Location(place.file, place.line, place.column))
    parts = [page.prose(arm), *(page.name(part) for part in (in_file, place.layer) if part)]
    return page.prose(" · ").join(parts)


def _share(finding: Finding, attribution: Attribution | None) -> str:
    assert finding.share is not None
    if attribution is None:
        return metric_share("accuracy", finding.share)
    metric = attribution["metric"]
    text = f"{metric_share(metric, finding.share)} of the gap of {metric_share(metric, attribution['gap'])}"
    for share in attribution["shares"]:
        if share["code"] == finding.code and share["low"] is not None and share["high"] is not None:
            text += f", between {metric_share(metric, share['low'])} and {metric_share(metric, share['high'])}"
    return text


def _repair(page: Page, repair: Repair, verified: bool | None) -> None:  # noqa: FBT001
    page.paragraph("repair:", "bold", indent=_INDENT)
    page.paragraph(repair.text, indent=_INDENT + 2)
    if repair.patch:
        from equivcheck.spec import dump_patch  # noqa: PLC0415  (YAML only where there is a patch)

        page.write(page.verbatim(dump_patch(repair.patch).rstrip("\n"), "green"), _INDENT + 4)
    page.write(page.labelled([("verified", page.prose(_VERIFIED[verified]))]), _INDENT)
