"""Runs the checks in the order of what they require, and keeps one that fails from stopping the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
        causes = sorted(
            {
                found.code
                for found in findings
                if found.severity == "error" and not (found.asked and found.code in check.beside)
            }
            & set(check.requires)
        )
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


def of_all_phases(phases: Mapping[str, Examination]) -> Examination:
    """What the checks said of each phase of a training, as one: the same thing in several phases is said once.

    Args:
        phases: By name of the phase, in order.
    """
    findings: dict[tuple[object, ...], Finding] = {}
    cleared: dict[tuple[str, str], Cleared] = {}
    for name, examination in phases.items():
        for found in examination.findings:
            patch = found.repair and found.repair.patch
            same = (found.code, found.arm, found.severity, repr(patch) if patch else found.message)
            kept = findings.get(same, found)
            findings[same] = replace(kept, phases=(*kept.phases, name))
        for harmless in examination.cleared:
            known = cleared.get((harmless.code, harmless.message), harmless)
            cleared[harmless.code, harmless.message] = replace(known, phases=(*known.phases, name))
    skipped = [{skip.code: skip for skip in examination.skipped} for examination in phases.values()]
    first, *others = skipped
    everywhere = [skip for code, skip in first.items() if all(code in other for other in others)]
    broken = {skip.code: skip for of_one in skipped for skip in of_one.values() if skip.failed}
    everywhere = [*(skip for skip in everywhere if skip.code not in broken), *broken.values()]
    return Examination(
        tuple(sorted(findings.values(), key=lambda found: (SEVERITIES.index(found.severity), found.code))),
        tuple(sorted(cleared.values(), key=lambda found: found.code)),
        tuple(sorted(everywhere, key=lambda found: found.code)),
        tuple(dict.fromkeys(code for examination in phases.values() for code in examination.failed)),
    )


def _missing(check: Check, evidence: Evidence) -> str | None:
    """Why a check has nothing to judge."""
    if check.subject == "training" and not evidence.outcome:
        return "the arms were not trained"
    if check.subject == "logs" and not evidence.logs:
        return "the spec gives no observed curves"
    return None
