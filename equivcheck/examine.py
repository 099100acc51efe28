"""Runs the checks in the order of what they require, and keeps one that fails from stopping the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from equivcheck.check import Check
from equivcheck.evidence import Evidence
from equivcheck.findings import CHECK_FAILED, SEVERITIES, Cleared, Finding, Skipped


@dataclass(frozen=True, slots=True)
class Examination:
    """What the checks said.

    Attributes:
        findings: Most severe first.
        cleared: Differences measured to be harmless.
        skipped: Checks that did not judge, and why.
        failed: Codes of checks that themselves failed; the verdict cannot then be "equivalent".
    """

    findings: tuple[Finding, ...]
    cleared: tuple[Cleared, ...]
    skipped: tuple[Skipped, ...]
    failed: tuple[str, ...]


def examine(evidence: Evidence, checks: Sequence[Check]) -> Examination:
    """Judges the evidence.

    A check that requires another's silence is skipped where that one raised an error: what it would report is then a
    consequence, not a second cause.
    """
    by_code = {check.code: check for check in checks}
    order = TopologicalSorter(
        {check.code: [code for code in check.requires if code in by_code] for check in checks}
    ).static_order()
    findings: list[Finding] = []
    cleared: list[Cleared] = []
    skipped: list[Skipped] = []
    failed: list[str] = []
    for code in order:
        check = by_code[code]
        causes = sorted({found.code for found in findings if found.severity == "error"} & set(check.requires))
        if causes:
            skipped.append(Skipped(code, f"a consequence of {', '.join(causes)}"))
            continue
        if missing := _missing(check, evidence):
            skipped.append(Skipped(code, missing))
            continue
        try:
            for said in check.examine(evidence):
                (findings if isinstance(said, Finding) else cleared).append(said)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001  (one broken check must not hide what the others found)
            failed.append(code)
            skipped.append(Skipped(code, f"{CHECK_FAILED}: {type(error).__name__}: {error}"))
    findings.sort(key=lambda found: (SEVERITIES.index(found.severity), found.code))
    return Examination(
        tuple(findings),
        tuple(sorted(cleared, key=lambda found: found.code)),
        tuple(sorted(skipped, key=lambda found: found.code)),
        tuple(failed),
    )


def _missing(check: Check, evidence: Evidence) -> str | None:
    """Why a check has nothing to judge."""
    if check.subject == "training" and not evidence.outcome:
        return "the arms were not trained"
    if check.subject == "logs" and not evidence.logs:
        return "the spec gives no observed curves"
    return None
