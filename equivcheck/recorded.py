"""What can be said without a model: the curves that a user already has, judged by themselves. No TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from equivcheck.check import Check
from equivcheck.diff.forensics import period_of, smallest_count
from equivcheck.evidence import Evidence
from equivcheck.examine import examine
from equivcheck.findings import ArmName, Skipped
from equivcheck.measured import ObservedLog
from equivcheck.observed import Declared, Parting, partings, read_logs, unlike
from equivcheck.report.model import Report, Verdict
from equivcheck.report.observed_summary import summarise_logs
from equivcheck.spec import Recording


def run_recording(recording: Recording, checks: Sequence[Check]) -> Report:
    """Checks a spec that gives logs and no model.

    Args:
        recording: The spec.
        checks: The checks that were chosen; only those of logs can judge.

    Returns:
        The report: divergent where the curves part by more than their printing explains, and inconclusive where there
        is nothing to compare.

    Raises:
        InputError: A file cannot be read, or tells of no curve.
    """
    observed = recording.observed
    logs = read_logs(observed.files, observed.validation_samples)
    parted = partings_of(logs)
    said = examine(Evidence.of_logs(logs), [check for check in checks if check.subject == "logs"])
    findings = tuple(
        replace(finding, location=recording.document.locate(finding.key)) if finding.key else finding
        for finding in said.findings
    )
    verdict: Verdict = "inconclusive"
    if parted and not said.failed:
        verdict = "divergent" if any(each.first_epoch is not None for each in parted) else "equivalent"
    return Report(
        name=recording.name,
        verdict=verdict,
        summary=summarise_logs(recording.name, parted, findings, logs),
        findings=findings,
        cleared=said.cleared,
        skipped=(
            *said.skipped,
            *(Skipped(check.code, "the spec describes no model") for check in checks if check.subject != "logs"),
        ),
        observed=observed_of(logs),
    )


def partings_of(logs: Mapping[ArmName, ObservedLog]) -> tuple[Parting, ...]:
    """Where the two arms' logs part; nothing where there is only one."""
    if "bottleneck" not in logs or "frozen" not in logs:
        return ()
    return partings(logs["bottleneck"], logs["frozen"])


def observed_of(
    logs: Mapping[ArmName, ObservedLog], declared: Mapping[ArmName, Declared] | None = None
) -> dict[str, Any]:
    """The report's ``observed``: each arm's curves, what they give away, and where the two part.

    Args:
        logs: The curves.
        declared: What the spec says of the same trainings; None where it gives nothing but logs.
    """
    told: dict[str, Any] = {arm: _plain(log, (declared or {}).get(arm)) for arm, log in logs.items()}
    if parted := partings_of(logs):
        told["parting"] = [{key: _number(value) for key, value in asdict(each).items()} for each in parted]
    return told


def _plain(log: ObservedLog, declared: Declared | None) -> dict[str, Any]:
    values, rounding = log.metrics.get("val_accuracy", ()), log.rounding.get("val_accuracy", ())
    known = [(value, error) for value, error in zip(values, rounding, strict=True) if 0 <= value <= 1]
    period = period_of(values)
    return {
        "source": log.source,
        "format": log.format,
        "epochs": list(log.epochs),
        "metrics": {name: [_number(value) for value in column] for name, column in log.metrics.items()},
        "steps": list(log.steps),
        "seconds": [_number(value) for value in log.seconds],
        "planned_epochs": log.planned_epochs,
        "training_samples": log.training_samples,
        "validation_samples": log.validation_samples,
        "smallest_possible_validation_samples": smallest_count(
            [value for value, _ in known], [error for _, error in known]
        ),
        "period_epochs": period.length if period is not None else None,
        "left_out": [asdict(each) for each in log.left_out],
        "unlike_the_spec": [] if declared is None else list(unlike(log, declared)),
    }


def _number(value: Any) -> Any:
    """NaN stands for a value that the file does not tell."""
    return None if isinstance(value, float) and math.isnan(value) else value
