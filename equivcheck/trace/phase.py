"""Where one phase of a training stands among the others, and what it takes over from the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from equivcheck.arms.arm import Arm
from equivcheck.evidence import PhaseTrace
from equivcheck.findings import ArmName
from equivcheck.spec import ArmSpec, Experiment, Phase
from equivcheck.trace.observed import Observed
from equivcheck.trace.order import record
from equivcheck.trace.step import take_step

_ARMS: tuple[ArmName, ...] = ("bottleneck", "frozen")


def fit_once(arm: Arm) -> None:
    """Leaves an arm as a phase leaves it that no compile follows: its step traced, its optimizer at the last step.

    Weights and the optimizer's averages stay as they are, so that the next phase is measured on equal ones.
    """
    steps = len(record(arm).train[0])
    take_step(arm)
    arm.model.optimizer.iterations.assign(steps * int(arm.fit.get("epochs", 1)))


def phase_of(experiment: Experiment, bottleneck: Observed, frozen: Observed) -> PhaseTrace | None:
    """The phase that was measured.

    Args:
        experiment: As it is in that phase.
        bottleneck: The bottleneck arm in it.
        frozen: The frozen arm in it.

    Returns:
        None for a training that is not in phases.
    """
    if not experiment.phase:
        return None
    before = experiment.phases[: experiment.phases.index(experiment.phase)]
    own = {arm: experiment.phases_of(arm) for arm in _ARMS}
    epochs = {arm: sum(_epochs(experiment, arm, name) for name in before) for arm in _ARMS}
    steps = {
        observed.arm.name: len(observed.train.order.batches[0]) * epochs[observed.arm.name]
        for observed in (bottleneck, frozen)
    }
    missing = [arm for arm in _ARMS if not _has(experiment, arm, experiment.phase)]
    return PhaseTrace(
        name=experiment.phase,
        number=len(before) + 1,
        unfrozen_in=_unfrozen_in(own["frozen"], (*before, experiment.phase)),
        recompiled={arm: experiment.phase not in own[arm] or own[arm][experiment.phase].recompile for arm in _ARMS},
        steps_before=steps,
        epochs_before=epochs,
        only=next((arm for arm in _ARMS if arm not in missing), None) if missing else None,
    )


def _has(experiment: Experiment, arm: ArmName, phase: str) -> bool:
    """Whether an arm goes through a phase; one without phases goes through the first."""
    own = experiment.phases_of(arm)
    if not own:
        return phase == experiment.phases[0]
    return phase in own


def _epochs(experiment: Experiment, arm: ArmName, phase: str) -> int:
    spec = getattr(experiment, arm)
    return spec.training.in_phase(phase).epochs if isinstance(spec, ArmSpec) and _has(experiment, arm, phase) else 0


def _unfrozen_in(phases: Mapping[str, Phase], until: Sequence[str]) -> str:
    """The phase from which on layers of the backbone are trained; empty where they are frozen by then."""
    found = ""
    for name in until:
        if name in phases:
            found = name if phases[name].unfreezes else "" if phases[name].freeze is True else found
    return found
