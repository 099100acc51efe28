"""From the report of a run to the outcome of one test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from equivcheck.findings import CHECK_FAILED, Finding
from equivcheck.report.model import Report
from equivcheck.testing.baseline import Accepted
from equivcheck.testing.options import Options


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one test.

    Attributes:
        kind: ``accepted``: every finding is a known difference.
        findings: What fails, or is accepted.
        lesser: Findings that are not severe enough to fail.
        reason: Why it is skipped or accepted, or fails without a finding.
        stale: Accepted differences that are not there any more.
    """

    kind: Literal["passed", "failed", "skipped", "accepted"]
    findings: tuple[Finding, ...] = ()
    lesser: tuple[Finding, ...] = ()
    reason: str = ""
    stale: tuple[Accepted, ...] = ()


def judge_check(report: Report, code: str, options: Options, accepted: Sequence[Accepted]) -> Outcome:
    """What one check says of a spec.

    Args:
        report: The run.
        code: Code of the check.
        options: What fails.
        accepted: Known differences of this spec.
    """
    for skipped in report.skipped:
        if skipped.code == code:
            return Outcome("failed" if skipped.reason.startswith(CHECK_FAILED) else "skipped", reason=skipped.reason)
    found = [finding for finding in report.findings if finding.code == code]
    failing = tuple(finding for finding in found if options.fails(finding))
    lesser = tuple(finding for finding in found if not options.fails(finding))
    mine = [entry for entry in accepted if entry.code == code]
    stale = tuple(entry for entry in mine if not any(map(entry.covers, found)))
    new = tuple(finding for finding in failing if not any(entry.covers(finding) for entry in mine))
    if new:
        return Outcome("failed", new, lesser, stale=stale)
    if failing:
        reasons = dict.fromkeys(entry.reason for entry in mine if any(map(entry.covers, failing)))
        return Outcome("accepted", failing, lesser, "; ".join(reasons), stale)
    return Outcome("passed", lesser=lesser, stale=stale)


def judge_verdict(report: Report, options: Options) -> Outcome:
    """What no single check says: arms that could not be judged, and curves that differ although no check says why."""
    errors = any(finding.severity == "error" for finding in report.findings)
    unexplained = report.verdict == "divergent" and not errors and not options.select
    if unexplained or report.verdict == "inconclusive":
        return Outcome("failed", reason=report.summary)
    return Outcome("passed")
