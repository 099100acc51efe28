"""A few training steps of both arms' heads from equal weights: gradients, updates and optimizer slots.

What is asked here is what lies behind the features: loss, gradient, optimizer. So what lies before is made equal. The
frozen arm's real ``train_step`` runs first; the features that its head received are what the bottleneck arm's real
``train_step`` is fed. Both optimizers are then handed the same gradients: one that divides by them (Adam, RMSprop)
would else make whole updates out of their rounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights  # as fit does

from equivcheck.arms.arm import Arm
from equivcheck.arms.seeding import set_seeds
from equivcheck.diff.step_gap import relative_gap, rounding_of, variable_gap
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Region, RuleTrace, UpdateTrace, VariableGap
from equivcheck.trace.backward import Backward, backward, hand_over, settle
from equivcheck.trace.behaviour import is_seed
from equivcheck.trace.labels import class_index, loss_of
from equivcheck.trace.observed import Observed
from equivcheck.trace.rules import Optimized, trace_rules
from equivcheck.trace.scale import scale_of
from equivcheck.trace.slots import slots_of
from equivcheck.trace.state import undisturbed
from equivcheck.trace.variables import owners_of

#: Momentum shows in the second step; a schedule, or gradients accumulated in twos, by the third.
STEPS = 3

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Side:
    """One arm, ready for its steps.

    Attributes:
        model: The live model.
        x: ``(n, ...)`` the samples as this arm's ``fit`` is given them.
        y: ``(n, ...)`` their labels.
        weights: ``(n,)`` sample weights, where there are any.
        seed: Set before each step.
        made_by: The user's function that made the arm, where one did.
        layers: Paths of the layers of the head.
        trained: What the optimizer updates of the head, in the model's order.
        paths: Full paths of those.
        kept: The head's statistics and other variables that it does not update.
        seeds: States of the head's random generators.
    """

    model: keras.Model
    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    weights: npt.NDArray[Any] | None
    seed: int
    made_by: str | None
    layers: frozenset[str]
    trained: tuple[keras.Variable, ...]
    paths: tuple[str, ...]
    kept: tuple[keras.Variable, ...]
    seeds: tuple[keras.Variable, ...]

    def data(self, x: Any) -> tuple[Any, ...]:
        """As ``train_step`` takes it."""
        parts = (x, self.y) if self.weights is None else (x, self.y, self.weights)
        return tuple(map(keras.ops.convert_to_tensor, parts))

    def losses(self, outputs: Any) -> npt.NDArray[np.float64]:
        """Loss of each sample, ``(n,)``."""
        given = keras.ops.convert_to_numpy(outputs)
        return np.array([loss_of(self.model, self.y[[row]], given[[row]]) for row in range(len(given))])

    def gradients(self, step: Backward) -> list[npt.NDArray[Any] | None]:
        """Of the head's variables, without the loss scale; None where a variable got none."""
        found = [step.gradients.get(id(variable)) for variable in self.trained]
        return [None if each is None else keras.ops.convert_to_numpy(each) / step.scale for each in found]

    def values(self) -> list[npt.NDArray[Any]]:
        """Of the head's trained variables."""
        return [np.array(variable) for variable in self.trained]


def trace_update(
    bottleneck: Observed, frozen: Observed, rows_a: Rows, rows_b: Rows, regions: Mapping[str, Region]
) -> UpdateTrace | None:
    """Takes the steps and leaves every variable as it was.

    Args:
        bottleneck: The bottleneck arm.
        frozen: The frozen arm.
        rows_a: Rows of the samples in the bottleneck arm's training split.
        rows_b: Rows of the same samples in the frozen arm's.
        regions: Which part of the frozen network each layer is, by path.

    Returns:
        None where an arm cannot take a step, a label is not known, or the heads cannot be paired.
    """
    if bottleneck.step.failure or frozen.step.failure or not len(rows_a):
        return None
    # Weights that a dataset yields are not recorded, so both arms' are left out where one arm has a dataset.
    weighted = bottleneck.arm.train.feed.arrays and frozen.arm.train.feed.arrays
    try:
        ours = _side(bottleneck, rows_a, {}, f"{bottleneck.arm.model.name}/", weighted=weighted)
        theirs = _side(frozen, rows_b, regions, "", weighted=weighted)
        if ours is None or theirs is None or not _pair(ours, theirs):
            return None
        relabelled = class_index(ours.y, bottleneck.train.outputs) != class_index(theirs.y, frozen.train.outputs)
        with undisturbed(ours.model, theirs.model):
            _equalise(ours, theirs)
            return _steps(ours, theirs, int(relabelled.sum()))
    except Exception:  # noqa: BLE001  (a train_step of the user's own may not come apart; then nothing is compared)
        return None


def _side(
    observed: Observed, rows: Rows, regions: Mapping[str, Region], prefix: str, *, weighted: bool
) -> _Side | None:
    arm, labels = observed.arm, observed.train.labels_of(rows)
    if labels is None:
        return None
    owners = owners_of(arm.model)
    head = [
        variable
        for variable in arm.model.variables
        if id(variable) in owners and regions.get(owners[id(variable)][0], "head") == "head"
    ]
    trainable = {id(variable) for variable in arm.model.trainable_variables}
    # The model's own order is that of its trainable variables too, but for a model that lists them otherwise.
    trained = [variable for variable in arm.model.trainable_variables if any(variable is other for other in head)]
    return _Side(
        model=arm.model,
        x=observed.train.x[rows],
        y=labels,
        weights=_weights(arm, rows, labels) if weighted else None,
        seed=arm.seed,
        made_by=arm.made_by,
        layers=frozenset(path for path, region in regions.items() if region == "head"),
        trained=tuple(trained),
        paths=tuple(f"{prefix}{owners[id(variable)][0]}/{variable.name}" for variable in trained),
        kept=tuple(each for each in head if id(each) not in trainable and not is_seed(each)),
        seeds=tuple(each for each in head if is_seed(each)),
    )


def _weights(arm: Arm, rows: Rows, labels: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """What ``fit`` would weight these samples by."""
    classes = arm.fit.get("class_weight")
    if classes is not None:
        return np.asarray(class_weight_to_sample_weights(keras.ops.convert_to_tensor(labels), classes))
    weights = arm.train.feed.sample_weight
    return None if weights is None else np.asarray(weights)[rows]


def _pair(ours: _Side, theirs: _Side) -> bool:
    """Whether the heads' variables can be paired in order; two models on the same variables cannot take turns."""
    shared = {id(variable) for variable in ours.model.variables} & {id(variable) for variable in theirs.trained}
    return bool(ours.trained) and not shared and _shapes(ours.trained) == _shapes(theirs.trained)


def _shapes(variables: Sequence[keras.Variable]) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in variables]


def _equalise(ours: _Side, theirs: _Side) -> None:
    """Gives the frozen arm's head the bottleneck arm's values; what has no counterpart stays as it is."""
    for mine, other in ((ours.trained, theirs.trained), (ours.kept, theirs.kept), (ours.seeds, theirs.seeds)):
        if _shapes(mine) == _shapes(other):
            for source, target in zip(mine, other, strict=True):
                target.assign(source)


def _steps(ours: _Side, theirs: _Side, relabelled: int) -> UpdateTrace | None:
    """Steps until the weights differ.

    Only the first runs the frozen arm's backbone, which takes nearly all of the time. In the later ones its optimizer
    is all that is asked of that arm, and that is handed the bottleneck arm's gradients anyway.
    """
    seed = partial(set_seeds, theirs.seed, made_by=ours.made_by or theirs.made_by)
    seed()
    skipped = settle(theirs.model, theirs.data(theirs.x))
    seed()
    right = backward(theirs.model, theirs.data(theirs.x), head=theirs.layers, shape=ours.x.shape[1:])
    seed()
    settle(ours.model, ours.data(right.features))
    seed()
    left = backward(ours.model, ours.data(right.features))
    if not left.calls or not right.calls:
        return None
    output_gap = relative_gap(*map(keras.ops.convert_to_numpy, (left.outputs, right.outputs)))
    loss_gap = relative_gap(ours.losses(left.outputs), theirs.losses(right.outputs))
    gradients = _gradient_gaps(ours, theirs, left, right)
    extra_loss = _extra_loss(ours, left), _extra_loss(theirs, right)
    shared = left, right
    equal_steps = 0
    with undisturbed(ours.model, theirs.model):
        while True:
            updates = _update(ours, theirs, left, right)
            if any(gap.max_rel > NOISE for gap in updates):
                break
            equal_steps += 1
            if equal_steps == STEPS:
                break
            left = backward(ours.model, ours.data(right.features))
        slots = _slot_gaps(ours, theirs)
    return UpdateTrace(
        samples=len(ours.y),
        relabelled=relabelled,
        output_gap=output_gap,
        loss_gap=loss_gap,
        gradients=gradients,
        updates=updates,
        slots=slots,
        equal_steps=equal_steps,
        skipped=skipped,
        steps=STEPS,
        rules=_rules(ours, theirs, *shared) if any(gap.max_rel > NOISE for gap in (*updates, *slots)) else None,
        extra_loss=None if None in extra_loss else extra_loss,  # type: ignore[arg-type]
    )


def _rules(ours: _Side, theirs: _Side, left: Backward, right: Backward) -> RuleTrace | None:
    """What of the optimizers makes the updates differ."""
    gradients = [
        None if gradient is None else gradient / left.scale
        for gradient in (left.gradients.get(id(variable)) for variable in ours.trained)
    ]
    try:
        return trace_rules(
            Optimized(ours.model, ours.trained, ours.paths, left),
            Optimized(theirs.model, theirs.trained, theirs.paths, right),
            gradients,
        )
    except Exception:  # noqa: BLE001  (an optimizer of the user's own may not take another's settings)
        return None


def _extra_loss(side: _Side, step: Backward) -> float | None:
    """What the step reported beyond the loss of its samples and the penalties on the head's weights."""
    compiled = side.model._compile_loss  # noqa: SLF001  (compute_loss adds the very penalties that are asked about)
    if step.loss is None or compiled is None:
        return None
    known = float(compiled(side.data(side.x)[1], step.outputs, *side.data(side.x)[2:]))
    known += sum(float(each.regularizer(each)) for each in side.trained if each.regularizer is not None)
    return step.loss - known


def _gradient_gaps(ours: _Side, theirs: _Side, left: Backward, right: Backward) -> tuple[VariableGap, ...]:
    """Relative to the largest of them: one that is 0 in theory (a bias before a normalisation) is mere rounding."""
    mine, other = ours.gradients(left), theirs.gradients(right)
    scale = max((float(np.abs(each).max(initial=0.0)) for each in mine if each is not None), default=0.0)
    return tuple(
        variable_gap(paths, a, b, scale=scale)
        for paths, a, b in zip(zip(ours.paths, theirs.paths, strict=True), mine, other, strict=True)
    )


def _update(ours: _Side, theirs: _Side, left: Backward, right: Backward) -> tuple[VariableGap, ...]:
    """Hands both optimizers the bottleneck arm's gradients and compares what they do."""
    before = ours.values(), theirs.values()
    factor = scale_of(theirs.model) / left.scale
    shared = {
        id(target): gradient if gradient is None or factor == 1 else gradient * factor
        for source, target in zip(ours.trained, theirs.trained, strict=True)
        for gradient in (left.gradients.get(id(source)),)
    }
    hand_over(ours.model, left, {})
    hand_over(theirs.model, right, shared)
    after = ours.values(), theirs.values()
    return tuple(
        variable_gap(
            paths,
            _difference(before[0][number], after[0][number]),
            _difference(before[1][number], after[1][number]),
            rounding=rounding_of(after[0][number], after[1][number]),
        )
        for number, paths in enumerate(zip(ours.paths, theirs.paths, strict=True))
    )


def _difference(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return after.astype(np.float64) - before.astype(np.float64)


def _slot_gaps(ours: _Side, theirs: _Side) -> tuple[VariableGap, ...]:
    mine, other = slots_of(ours.model.optimizer, ours.trained), slots_of(theirs.model.optimizer, theirs.trained)
    return tuple(
        variable_gap(
            (f"{ours.paths[number]}/{name}", f"{theirs.paths[number]}/{name}"),
            mine.get((number, name)),
            other.get((number, name)),
        )
        for number, name in sorted(mine.keys() | other.keys())
    )
