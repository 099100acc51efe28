"""Trains an arm phase by phase, each from the weights that the one before leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from equivcheck.arms.arm import Arm
from equivcheck.evidence import ArmEvidence
from equivcheck.measured import Curve
from equivcheck.replay.rehearse import Rehearsals
from equivcheck.replay.training import Progress, Training, train, train_by_fit

_TRACED = "a later phase goes on with the step that fit has traced"


def train_in_phases(
    arm: Arm,
    progress: Progress,
    *,
    evidence: ArmEvidence | None = None,
    rehearsals: Rehearsals | None = None,
    folder: Path | None = None,
) -> Iterator[tuple[Arm, Training]]:
    """Trains all phases; the seed is set before each.

    Args:
        arm: The arm before its first phase.
        progress: As for ``train``; told of the epochs of one phase.
        evidence: As for ``train``.
        rehearsals: As for ``train``.
        folder: As for ``train``.

    Yields:
        The arm and its training, right behind each phase, while the model stands as that phase leaves it.
    """
    traced = not all(later.recompiles for later in arm.later)
    while True:
        if traced:
            yield arm, train_by_fit(arm, progress, _TRACED)
        else:
            yield arm, train(arm, progress, evidence=evidence, rehearsals=rehearsals, folder=folder)
        if not arm.later:
            return
        arm = arm.later[0].enter(arm)


def joined(parts: list[tuple[Curve, ...]]) -> tuple[Curve, ...]:
    """The curves of all phases, one behind the other; a metric that a phase does not have is NaN there."""
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys((curve.arm, curve.metric) for part in parts for curve in part)
    return tuple(
        Curve(arm, metric, tuple(value for part in parts for value in _values(part, metric))) for arm, metric in names
    )


def _values(part: tuple[Curve, ...], metric: str) -> tuple[float, ...]:
    missing = (float("nan"),) * max((len(curve.values) for curve in part), default=0)
    return next((curve.values for curve in part if curve.metric == metric), missing)
