"""What every renderer says around a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.findings import Finding, Severity
from equivcheck.location import Location
from equivcheck.report.numbers import metric_share
from equivcheck.report.phase_words import in_phases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equivcheck.measured import Attribution

HEADINGS: Mapping[Severity, str] = {
    "error": "Causes",
    "warning": "Warnings: defects that both arms share, or that will bite later",
    "note": "Notes",
}

#: What became of the repair.
VERIFIED: Mapping[bool | None, str] = {
    True: "yes: the repair was applied and the finding was gone",
    False: "no: the repair was applied, but the finding was still there",
    None: "not tried",
}


def why(finding: Finding) -> str:
    """The heading of the finding's message."""
    return "why it separates the curves" if finding.severity == "error" else "why it matters"


def arm_of(finding: Finding) -> str:
    """``frozen arm``, ``both arms``; of a training in phases ``frozen arm, in phase block5``."""
    arm = "both arms" if finding.arm == "both" else f"{finding.arm} arm"
    return arm + in_phases(finding.phases)


def place_of(finding: Finding) -> Location:
    """Where the finding stands; each part is None where it is not known."""
    return finding.location or Location(layer=finding.layer)


def in_file(finding: Finding) -> str:
    """``spec.yaml:11:3``; empty where no file is known."""
    place = place_of(finding)
    return str(Location(place.file, place.line, place.column)) if place.file else ""


def share_of(finding: Finding, attribution: Attribution | None) -> str:
    """``−31.7 pp of the gap of −46.9 pp, between −34.4 pp and −29.1 pp; alone it makes −30.4 pp``; or empty."""  # noqa: RUF002
    if finding.share is None:
        return ""
    if attribution is None:
        return share_alone(finding, attribution)
    metric = attribution["metric"]
    text = f"{metric_share(metric, finding.share)} of the gap of {metric_share(metric, attribution['gap'])}"
    for share in attribution["shares"]:
        if share["code"] != finding.code:
            continue
        if share["low"] is not None and share["high"] is not None:
            text += f", between {metric_share(metric, share['low'])} and {metric_share(metric, share['high'])}"
        if len(attribution["shares"]) > 1 and share["alone"] is not None and share["repaired"] is not None:
            text += (
                f"; alone it makes {metric_share(metric, share['alone'])}, and repairing it alone takes away "
                f"{metric_share(metric, share['repaired'])}"
            )
    return text


def share_alone(finding: Finding, attribution: Attribution | None) -> str:
    """``−31.7 pp``; empty where no share is known."""  # noqa: RUF002
    if finding.share is None:
        return ""
    return metric_share(attribution["metric"] if attribution else "accuracy", finding.share)


def patch_of(finding: Finding) -> str:
    """The repair as YAML to paste into the spec; empty where no spec key can express it."""
    if finding.repair is None or not finding.repair.patch:
        return ""
    from equivcheck.spec import dump_patch  # noqa: PLC0415  (YAML only where there is a patch)

    return dump_patch(finding.repair.patch).rstrip("\n")
