"""What makes two optimizers move equal heads differently: their rule, learning rate, clipping, or what else they clip.

The live optimizers themselves are run, on gradients that are the same for both. One thing is changed at a time, so that
two causes at once are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.diff.step_gap import rounding_of, variable_gap
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import RuleTrace, VariableGap
from equivcheck.trace.backward import Backward, hand_over
from equivcheck.trace.scale import scale_of
from equivcheck.trace.slots import slot_variables, slots_of
from equivcheck.trace.state import undisturbed

#: The gradients of the steps as multiples of the first: momentum shows in the second step, a schedule or gradients
#: accumulated in twos by the third, and only gradients that change show the averages of an optimizer that divides by
#: their size.
FACTORS = (1.0, 0.5, -0.25)
LIMITS = ("clipnorm", "global_clipnorm", "clipvalue")


@dataclass(frozen=True, slots=True)
class Optimized:
    """One arm's optimizer and the variables of the head that it updates.

    Attributes:
        model: The compiled model, its head at the weights to start from.
        trained: Variables of the head.
        paths: Their full paths.
        step: The step whose calls of the optimizer are repeated where all that it was handed is asked for.
    """

    model: keras.Model
    trained: tuple[keras.Variable, ...]
    paths: tuple[str, ...]
    step: Backward

    @property
    def rule(self) -> Any:
        """The optimizer that holds the settings, inside one that only scales the loss."""
        return getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)


@dataclass(frozen=True, slots=True)
class _Moved:
    """Weights of the head after the steps, how far they came, and the slots."""

    weights: list[npt.NDArray[Any]]
    updates: list[npt.NDArray[np.float64]]
    slots: Mapping[tuple[int, str], npt.NDArray[Any]]


def trace_rules(ours: Optimized, theirs: Optimized, gradients: Sequence[Any]) -> RuleTrace | None:
    """Takes the optimizers apart; every variable is as it was afterwards.

    Args:
        ours: The bottleneck arm's.
        theirs: The frozen arm's, its head at the same weights.
        gradients: One of each variable of the head, unscaled; None where there is none.

    Returns:
        None for an optimizer that does not have Keras' settings.
    """
    if not all(hasattr(side.rule, name) for side in (ours, theirs) for name in ("_learning_rate", *LIMITS)):
        return None
    rate = {"_learning_rate": ours.rule.__dict__.get("_learning_rate")}
    limits = {name: getattr(ours.rule, name) for name in LIMITS}
    reference = _run(ours, gradients, None, {})
    equal = _run(theirs, gradients, ours, {**rate, **limits})
    return RuleTrace(
        rule=_gap(ours, theirs, reference, equal),
        rate=_gap(theirs, theirs, equal, _run(theirs, gradients, ours, limits)),
        clipping=_gap(theirs, theirs, equal, _run(theirs, gradients, ours, rate)),
        scope=_gap(theirs, theirs, equal, _run(theirs, gradients, ours, {**rate, **limits}, everything=True)),
    )


def _run(
    side: Optimized,
    gradients: Sequence[Any],
    state: Optimized | None,
    settings: Mapping[str, Any],
    *,
    everything: bool = False,
) -> _Moved:
    """A few steps of one optimizer.

    Args:
        side: The optimizer.
        gradients: As for ``trace_rules``.
        state: Whose steps and slots it starts with; None for its own.
        settings: What it is given of the other's settings.
        everything: Hand it all that it was handed in its own step, not the head alone.
    """
    with undisturbed(side.model), ExitStack() as stack:
        stack.enter_context(_settings(side.rule, settings))
        for variable in side.trained:
            stack.enter_context(_unconstrained(variable))
        if state is not None:
            side.model.optimizer.iterations.assign(state.model.optimizer.iterations)
            _copy_slots(state, side)
        before = [np.array(variable, np.float64) for variable in side.trained]
        for factor in FACTORS:
            scale = factor * scale_of(side.model)
            handed = [None if gradient is None else gradient * scale for gradient in gradients]
            if everything:
                hand_over(side.model, side.step, dict(zip(map(id, side.trained), handed, strict=True)))
            else:
                side.model.optimizer.apply(handed, list(side.trained))
        weights = [np.array(variable) for variable in side.trained]
        return _Moved(
            weights,
            [after.astype(np.float64) - first for after, first in zip(weights, before, strict=True)],
            slots_of(side.model.optimizer, side.trained),
        )


def _gap(ours: Optimized, theirs: Optimized, left: _Moved, right: _Moved) -> VariableGap:
    """The largest difference: of the weights where they differ at all, else of the slots."""
    paths = list(zip(ours.paths, theirs.paths, strict=True))
    updates = [
        variable_gap(
            paths[number],
            left.updates[number],
            right.updates[number],
            rounding=rounding_of(left.weights[number], right.weights[number]),
        )
        for number in range(len(paths))
    ]
    slots = [
        variable_gap(
            (f"{paths[number][0]}/{name}", f"{paths[number][1]}/{name}"),
            left.slots.get((number, name)),
            right.slots.get((number, name)),
        )
        for number, name in sorted(left.slots.keys() | right.slots.keys())
    ]
    worst = max(updates, key=lambda gap: gap.max_rel)
    return worst if worst.max_rel > NOISE or not slots else max(slots, key=lambda gap: gap.max_rel)


def _copy_slots(source: Optimized, target: Optimized) -> None:
    mine = slots_of(source.model.optimizer, source.trained)
    for place, slot in slot_variables(target.model.optimizer, target.trained).items():
        if place in mine and mine[place].shape == tuple(slot.shape):
            slot.assign(mine[place])


@contextmanager
def _settings(optimizer: Any, settings: Mapping[str, Any]) -> Iterator[None]:
    """Past Keras' attribute tracking, which would turn a learning rate into a variable."""
    names = optimizer.__dict__
    own = {name: names[name] for name in settings if name in names}
    try:
        names.update(settings)
        yield
    finally:
        names.update(own)


@contextmanager
def _unconstrained(variable: keras.Variable) -> Iterator[None]:
    """A constraint belongs to the head's weights, not to the optimizer that applies it."""
    constraint = variable.constraint
    try:
        variable.constraint = None
        yield
    finally:
        variable.constraint = constraint
