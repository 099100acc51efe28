"""Trains an arm phase by phase, each from the weights that the one before leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from equivcheck.arms.arm import Arm
from equivcheck.evidence import ArmEvidence
from equivcheck.measured import Curve
from equivcheck.replay.course import Values
from equivcheck.replay.eligible import obstacle
from equivcheck.replay.graph import RefusedError
from equivcheck.replay.rehearse import Ready, Rehearsals, prepare
from equivcheck.replay.store import Stored, read, write
from equivcheck.replay.training import Progress, Training, checked, curves_of, keyed, train, train_by_fit
from equivcheck.replay.workers import Checkpoint

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


@dataclass(frozen=True, slots=True)
class _Phase:
    """One phase of a training that runs beside others.

    Attributes:
        arm: The arm before it, but for the weights.
        ready: Its training.
        start: What the model's variables hold before all phases.
        key: What decides the outcome, with these; None where that is not known.
    """

    arm: Arm
    ready: Ready
    start: Values
    key: str | None


def begin_in_phases(
    arm: Arm,
    progress: Progress,
    *,
    evidence: ArmEvidence | None,
    rehearsals: Rehearsals,
    folder: Path | None,
) -> Callable[[], tuple[Curve, ...]] | None:
    """Begins all phases beside other trainings; the model then has its first weights and the flags of its last phase.

    Args:
        arm: The arm before its first phase.
        progress: As for ``train_in_phases``; may be told by another thread.
        evidence: As for ``train_in_phases``.
        rehearsals: As for ``train_in_phases``.
        folder: As for ``train_in_phases``.

    Returns:
        Waits for the curves of all phases; None where one of them cannot run beside others.
    """
    phases: list[_Phase] = []
    while all(later.recompiles for later in arm.later) and obstacle(arm) is None:
        found = keyed(arm, rehearsals, folder)
        try:
            ready = prepare(
                arm, evidence=evidence, rehearsals=rehearsals, tables=found.tables, held=found.held, told=progress
            )
        except Exception:  # noqa: BLE001  (whoever trains it by itself meets it again, and says it)
            return None
        if not ready.aside:
            return None
        phases.append(_Phase(arm, ready, found.held, found.key))
        if not arm.later:
            return _aside(phases, progress, rehearsals, folder)
        arm = arm.later[0].enter(arm)
    return None


def _aside(
    phases: Sequence[_Phase], progress: Progress, rehearsals: Rehearsals, folder: Path | None
) -> Callable[[], tuple[Curve, ...]]:
    keys = [phase.key for phase in phases if phase.key is not None]
    key = "-".join(keys) if len(keys) == len(phases) else None
    known = None if folder is None or key is None else read(folder, key)
    if known is not None:
        curves = curves_of(phases[0].arm, known.curves)
        return lambda: curves

    def run(check: Checkpoint) -> tuple[Curve, ...]:
        held: dict[int, tf.Tensor] = {}
        parts = []
        for phase in phases:
            if phase.ready.fixed & held.keys():
                raise RefusedError("features were stored of what an earlier phase trains")
            start = {each: held.get(each, value) for each, value in phase.start.items()}
            done = phase.ready.run_aside(checked(progress, check), start)
            held.update(done.left)
            parts.append(curves_of(phase.arm, done.curves))
        found = joined(parts)
        if folder is not None and key is not None:
            write(folder, key, Stored({curve.metric: curve.values for curve in found}, {}, phases[-1].ready.cut.why))
        return found

    return rehearsals.workers.submit(run).result


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
