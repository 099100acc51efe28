"""Both arms on identical samples: the evidence that the checks judge. Reads top to bottom as it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.diff.affine import AffineMap, fit_affine
from equivcheck.diff.align import Pair, align
from equivcheck.diff.distance import distance
from equivcheck.errors import InconclusiveError
from equivcheck.evidence import ArmEvidence, Evidence, InputTrace, OrderTrace, Region
from equivcheck.measured import Distance
from equivcheck.trace.compare import compare, first_divergence
from equivcheck.trace.hooks import declared_inference
from equivcheck.trace.inputs import first_kernel_input
from equivcheck.trace.labels import trace_labels
from equivcheck.trace.layers import Seen, watch
from equivcheck.trace.passes import Passes, passes_of_bottleneck, passes_of_frozen, rows_at
from equivcheck.trace.state import undisturbed
from equivcheck.trace.step import Step, take_step
from equivcheck.trace.variables import count_parameters, trace_variables
from equivcheck.trace.walk import Walk, match, renumbered, walk

#: Samples that go through both arms layer by layer: enough to tell a sample from its batch, few enough to keep every
#: activation of a deep backbone in memory.
PROBES = 8


def trace_pair(bottleneck: Arm, frozen: Arm) -> Evidence:
    """Measures both arms and leaves every variable as it was.

    Args:
        bottleneck: Head on stored features.
        frozen: Backbone and head in one model.
    """
    ours, theirs = walk(bottleneck, bottleneck.train), walk(frozen, frozen.train)
    numbers = match(bottleneck.train, ours, frozen.train, theirs)
    rows_a, rows_b = _probe_rows(ours, theirs, numbers)
    steps = {arm.name: _step(arm, walked) for arm, walked in ((bottleneck, ours), (frozen, theirs))}
    variables = trace_variables(frozen.model, steps["frozen"], {})
    moved = frozenset(variable.layer for variable in variables if variable.change > 0)
    with undisturbed(*bottleneck.network, frozen.model):
        left = passes_of_bottleneck(
            bottleneck, steps["bottleneck"], rows_at(ours.images, rows_a), ours.x[rows_a], ours.labels_of(rows_a)
        )
        right = passes_of_frozen(frozen, steps["frozen"], theirs.x[rows_b], theirs.labels_of(rows_b))
        pairs = align(left.layers, right.layers)
        rows = compare(left, right, pairs, moved, values=numbers is not None)
    regions = _regions(left, right, pairs)
    predictions = left.inference[-1].outputs[0]
    inputs = {
        "bottleneck": _input(bottleneck, left, rows_at(ours.raw, rows_a)),
        "frozen": _input(frozen, right, rows_at(theirs.raw, rows_b)),
    }
    evidence = {}
    for arm, walked, passes, probes in ((bottleneck, ours, left, rows_a), (frozen, theirs, right, rows_b)):
        of_frozen = arm is frozen
        prefix = "" if of_frozen else f"{arm.model.name}/"
        found = trace_variables(arm.model, steps[arm.name], regions if of_frozen else {}, prefix)
        evidence[arm.name] = ArmEvidence(
            layers=tuple(replace(layer, region=regions[layer.path]) for layer in passes.layers)
            if of_frozen
            else passes.layers,
            variables=found,
            parameters=count_parameters(arm, found),
            train=renumbered(walked, numbers, len(ours.x)) if of_frozen and numbers is not None else walked.order,
            validation=None,
            input=inputs[arm.name],
            labels=trace_labels(
                arm.model,
                walked.y,
                probes=walked.labels_of(probes) if numbers is not None else None,
                predictions=predictions if numbers is not None else None,
            ),
            declared_inference=declared_inference(arm.model),
            class_names=_class_names(arm, walked.order),
            optimizer=_optimizer(arm),
        )
    validation = _validation_orders(bottleneck, frozen)
    return Evidence(
        bottleneck=replace(evidence["bottleneck"], validation=validation[0]),
        frozen=replace(evidence["frozen"], validation=validation[1]),
        matched=numbers is not None,
        rows=rows,
        first_divergence=first_divergence(rows),
        input_map=_input_map(inputs["bottleneck"], inputs["frozen"]) if numbers is not None else None,
        inference=_last_gap(left.inference, right.inference) if numbers is not None else None,
    )


def _step(arm: Arm, walked: Walk) -> Step:
    step = take_step(arm)
    # Labels that the loss refuses are a finding (EQ302); anything else that fit raises ends the comparison.
    if step.failure is not None and trace_labels(arm.model, walked.y, probes=None, predictions=None).failure is None:
        raise InconclusiveError(f"the {arm.name} arm cannot be trained: fit raised {step.failure}")
    return step


def _probe_rows(
    ours: Walk, theirs: Walk, numbers: npt.NDArray[np.int64] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the probe samples in either split: the same samples, spread over the split so that classes mix."""
    seen_b = np.unique(theirs.order.samples[0][theirs.order.samples[0] >= 0])
    if numbers is None:
        seen_a = np.unique(ours.order.samples[0][ours.order.samples[0] >= 0])
        count = min(PROBES, len(seen_a), len(seen_b))
        return _spread(seen_a, count), _spread(seen_b, count)
    shared = seen_b[np.isin(numbers[seen_b], ours.order.samples[0])]
    rows = _spread(shared, min(PROBES, len(shared)))
    return numbers[rows], rows


def _spread(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    spread: npt.NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, count).astype(int)]
    return spread


def _regions(left: Passes, right: Passes, pairs: Sequence[Pair]) -> Mapping[str, Region]:
    """Which part of the frozen network each of its layers is: what its partner in the bottleneck arm is.

    A layer without a partner belongs to the head from the head's first layer on, and to the backbone before it; where
    nothing of the backbone is known (the bottleneck arm came with features only), the same rule tells them apart.
    Random layers in front of the backbone are augmentation.
    """
    partners = {b: left.layers[a].region for a, b in pairs if a is not None and b is not None}
    last_backbone = max((b for b, region in partners.items() if region == "backbone"), default=-1)
    first_head = min((b for b, region in partners.items() if region == "head" and b > last_backbone), default=None)
    without_backbone = len(right.layers) if first_head is None else first_head
    start = last_backbone + 1 if last_backbone >= 0 else without_backbone
    regions: dict[str, Region] = {}
    first_kernel = next((i for i, layer in enumerate(right.layers) if any(len(w) > 1 for w in layer.weights)), 0)
    for index, layer in enumerate(right.layers):
        own = partners.get(index, "head" if index >= start else "backbone")
        if index < first_kernel and index not in partners and layer.kind.startswith("Random"):
            own = "augmentation"
        regions[layer.path] = own
    return regions


def _input(arm: Arm, passes: Passes, raw: npt.NDArray[Any] | None) -> InputTrace | None:
    if passes.images is None or passes.images.ndim != 4:  # noqa: PLR2004
        return None
    found = first_kernel_input(passes.inference, passes.images)
    if found is None:
        return None
    layer, tensor = found
    against_raw = None if raw is None else fit_affine(raw, tensor)
    return InputTrace(layer, tensor, against_raw, _as_trained(arm, raw))


def _as_trained(arm: Arm, raw: npt.NDArray[Any] | None) -> AffineMap | None:
    """The map that the weights were trained with, measured the same way: at the first kernel."""
    if raw is None or arm.as_trained is None:
        return None
    model = arm.network[0]
    images = arm.as_trained(raw)
    with undisturbed(model):
        seen, _ = watch(model, lambda: model.predict_step((images,)))
    found = first_kernel_input(seen, images)
    return None if found is None else fit_affine(raw, found[1])


def _input_map(a: InputTrace | None, b: InputTrace | None) -> AffineMap | None:
    return None if a is None or b is None else fit_affine(a.tensor, b.tensor)


def _last_gap(a: Sequence[Seen], b: Sequence[Seen]) -> Distance | None:
    first, second = a[-1].outputs[0], b[-1].outputs[0]
    return distance(first, second) if first.shape == second.shape else None


def _validation_orders(bottleneck: Arm, frozen: Arm) -> tuple[OrderTrace | None, OrderTrace | None]:
    if bottleneck.validation is None or frozen.validation is None:
        present = [
            walk(arm, arm.validation, validation=True).order if arm.validation else None for arm in (bottleneck, frozen)
        ]
        return present[0], present[1]
    ours = walk(bottleneck, bottleneck.validation, validation=True)
    theirs = walk(frozen, frozen.validation, validation=True)
    numbers = match(bottleneck.validation, ours, frozen.validation, theirs)
    return ours.order, theirs.order if numbers is None else renumbered(theirs, numbers, len(ours.x))


def _class_names(arm: Arm, order: OrderTrace) -> tuple[str, ...]:
    if arm.train.samples is not None:
        return arm.train.samples.classes
    return tuple(str(index) for index in range(int(order.labels[0].max(initial=0)) + 1))


def _optimizer(arm: Arm) -> Mapping[str, Any]:
    """What the live optimizer says of itself, its learning rate as a number where it is one."""
    optimizer = arm.model.optimizer
    if optimizer is None:
        return {}
    config = {
        key: value for key, value in optimizer.get_config().items() if isinstance(value, bool | int | float | str)
    }
    return {**config, "name": type(optimizer).__name__}
