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
from equivcheck.diff.pixels import raw_pixels
from equivcheck.evidence import ArmEvidence, Evidence, InputTrace, LayerTrace, OrderTrace, Region
from equivcheck.trace.compare import compare, first_divergence
from equivcheck.trace.draws import draw_alike
from equivcheck.trace.hooks import declared_inference
from equivcheck.trace.images import gap_between, preparation, prepared, scalings, trace_images
from equivcheck.trace.inputs import first_kernel_input, has_kernel
from equivcheck.trace.labels import trace_labels
from equivcheck.trace.layers import Seen, watch
from equivcheck.trace.losses import with_losses
from equivcheck.trace.observed import PROBES, Observed, probes_of
from equivcheck.trace.passes import Passes, again_after_rounding, passes_of_bottleneck, passes_of_frozen
from equivcheck.trace.plan import plan
from equivcheck.trace.recognised import recognise
from equivcheck.trace.splits import trace_overlaps
from equivcheck.trace.start import trace_cut, trace_shared, trace_values
from equivcheck.trace.state import undisturbed
from equivcheck.trace.training import trace_training
from equivcheck.trace.update import trace_update
from equivcheck.trace.variables import count_parameters, trace_variables
from equivcheck.trace.walk import Walk, match, renumbered


def trace_pair(bottleneck: Observed, frozen: Observed) -> Evidence:
    """Measures both arms together and leaves every variable as it was.

    Args:
        bottleneck: Head on stored features.
        frozen: Backbone and head in one model.
    """
    numbers = match(bottleneck.arm.train, bottleneck.train, frozen.arm.train, frozen.train)
    matched = numbers is not None
    rows_a, rows_b = _probe_rows(bottleneck.train, frozen.train, numbers, probes_of(frozen.arm.model))
    moved = frozenset(
        variable.layer for variable in trace_variables(frozen.arm.model, frozen.step, {}) if variable.change > 0
    )
    with undisturbed(*bottleneck.arm.network, frozen.arm.model):
        fed = _at(bottleneck.train.images, rows_a), bottleneck.train.x[rows_a]
        with undisturbed(*bottleneck.arm.network):
            left = passes_of_bottleneck(bottleneck, *fed)

        def draw_as_left(calm: tuple[Seen, ...]) -> None:
            draw_alike(left.inference, calm, plan(left.inference, calm).pairs)

        right = passes_of_frozen(frozen, frozen.train.x[rows_b], draw_as_left)
        pairs = align(left.layers, right.layers)
        rows = compare(left, right, moved, values=matched, again=lambda: again_after_rounding(bottleneck, *fed))
    regions = _regions(left, right, pairs)
    values = trace_values(left, right, pairs, regions)
    right = replace(right, layers=tuple(replace(layer, region=regions[layer.path]) for layer in right.layers))
    predictions = left.inference[-1].outputs[0] if matched else None
    # Schedules are compared over equally long epochs: that batches differ in number is another difference.
    steps = min(len(observed.train.order.batches[0]) for observed in (bottleneck, frozen))
    ours = _arm_evidence(bottleneck, left, rows_a, predictions, {}, steps, f"{bottleneck.arm.model.name}/")
    theirs = _arm_evidence(frozen, right, rows_b, predictions, regions, steps)
    if numbers is not None:
        theirs = replace(theirs, train=renumbered(frozen.train, numbers, len(bottleneck.train.x)))
    validation, validation_matched = _matched_validation(bottleneck, frozen, matched=matched)
    ours = replace(ours, images=trace_images(bottleneck, rows_a, None))
    theirs = replace(theirs, images=trace_images(frozen, rows_b, numbers))
    raw = _at(bottleneck.train.raw, rows_a), _at(frozen.train.raw, rows_b)
    gap = gap_between(*raw, ours.input, theirs.input) if matched else None
    return Evidence(
        bottleneck=ours,
        frozen=replace(theirs, validation=validation),
        matched=matched,
        rows=rows,
        first_divergence=first_divergence(rows),
        input_map=_input_map(ours.input, theirs.input) if matched else None,
        update=trace_update(bottleneck, frozen, rows_a, rows_b, regions) if matched else None,
        validation_matched=validation_matched,
        overlaps=trace_overlaps(bottleneck, frozen),
        values=values,
        cut=trace_cut(left, right, pairs, regions, str(bottleneck.train.x.dtype), values=matched),
        shared=trace_shared(bottleneck.arm, bottleneck.step, frozen.arm, frozen.step),
        image_gap=gap,
        preparation=preparation(
            ours.input, theirs.input, gap, redrawn=bool(ours.images.redrawn or theirs.images.redrawn)
        ),
        recognised={} if matched else recognise(bottleneck, frozen),
    )


def _arm_evidence(
    observed: Observed,
    passes: Passes,
    probes: npt.NDArray[np.int64],
    predictions: npt.NDArray[Any] | None,
    regions: Mapping[str, Region],
    steps: int,
    prefix: str = "",
) -> ArmEvidence:
    arm = observed.arm
    variables = trace_variables(arm.model, observed.step, regions, prefix, wanted=observed.wanted)
    return ArmEvidence(
        layers=passes.layers,
        variables=variables,
        parameters=count_parameters(arm, variables),
        train=observed.train.order,
        validation=observed.validation.order if observed.validation else None,
        input=_input(observed, passes, _at(observed.train.raw, probes)),
        labels=with_losses(
            trace_labels(
                arm.model,
                observed.train.y,
                outputs=observed.train.outputs,
                probes=None if predictions is None else observed.train.labels_of(probes),
                predictions=predictions,
            ),
            arm.model,
            observed.train.y,
            passes.inference[-1] if passes.inference else None,
        ),
        declared_inference=declared_inference(arm.model),
        class_names=_class_names(arm, observed.train.order),
        optimizer=_optimizer(arm),
        training=trace_training(arm, steps),
        stepped=observed.step.failure is None,
        fitted_before=observed.fitted_before,
        repeat=observed.repeat,
        stored=observed.stored,
        stored_validation=observed.stored_validation,
    )


def _at(array: npt.NDArray[Any] | None, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
    """The rows of an array that may be unknown."""
    return None if array is None else array[rows]


def _probe_rows(
    ours: Walk, theirs: Walk, numbers: npt.NDArray[np.int64] | None, most: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of at most so many samples in either split: the same ones, spread over the split so that classes mix."""
    seen_b = np.unique(theirs.order.samples[0][theirs.order.samples[0] >= 0])
    if numbers is None:
        seen_a = np.unique(ours.order.samples[0][ours.order.samples[0] >= 0])
        count = min(most, len(seen_a), len(seen_b))
        return _spread(seen_a, count), _spread(seen_b, count)
    shared = seen_b[np.isin(numbers[seen_b], ours.order.samples[0])]
    rows = _spread(shared, min(most, len(shared)))
    return numbers[rows], rows


def _spread(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    spread: npt.NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, count).astype(int)]
    return spread


def _regions(left: Passes, right: Passes, pairs: Sequence[Pair]) -> Mapping[str, Region]:
    """Which part of the frozen network each of its layers is: what its partner in the bottleneck arm is.

    A layer without a partner belongs to the head behind the last layer that has one in the backbone, unless it lies in
    one container with that layer, or in front of a frozen layer that has no partner either; where nothing of the
    backbone is known (the bottleneck arm came with features only), from the head's first layer on. Random layers in
    front of the backbone are augmentation.
    """
    partners = {b: left.layers[a].region for a, b in pairs if a is not None and b is not None}
    last_backbone = max((b for b, region in partners.items() if region == "backbone"), default=-1)
    first_head = min((b for b, region in partners.items() if region == "head" and b > last_backbone), default=None)
    without_backbone = len(right.layers) if first_head is None else first_head
    start = _behind_frozen(right, partners, last_backbone + 1) if last_backbone >= 0 else without_backbone
    container, nested, _ = right.layers[last_backbone].path.partition("/") if last_backbone >= 0 else ("", "", "")
    regions: dict[str, Region] = {}
    first_kernel = next((i for i, layer in enumerate(right.layers) if any(len(w) > 1 for w in layer.weights)), 0)
    for index, layer in enumerate(right.layers):
        inside = bool(nested) and layer.path.startswith(f"{container}/")
        own = partners.get(index, "head" if index >= start and not inside else "backbone")
        if index < first_kernel and index not in partners and _augments(layer):
            own = "augmentation"
        regions[layer.path] = own
    return regions


def _behind_frozen(right: Passes, partners: Mapping[int, Region], start: int) -> int:
    """Where the head begins: behind the last frozen layer that comes before all partners and all that trains."""
    for index in range(start, len(right.layers)):
        layer = right.layers[index]
        if index in partners or (layer.weights and layer.trainable):
            break
        if layer.weights and not layer.composite:
            start = index + 1
    return start


def _augments(layer: LayerTrace) -> bool:
    """Whether a layer in front of the backbone changes images at random; dropout there is a mistake of its own."""
    return layer.kind.startswith("Random") or (layer.stochastic and "Dropout" not in layer.kind)


def _input(observed: Observed, passes: Passes, raw: npt.NDArray[Any] | None) -> InputTrace | None:
    arm = observed.arm
    if passes.images is None or passes.images.ndim != 4:  # noqa: PLR2004
        return None
    found = first_kernel_input(passes.inference, passes.images)
    if found is None:
        return None
    layer, tensor = found
    against_raw = supposed = as_trained = None
    if raw is not None:
        against_raw = _map_of(arm, raw, prepared(arm, raw, passes.images), (passes, tensor))
    elif arm.as_trained is not None and (
        # Training images of a user's code may be augmented; what is validated on rarely is.
        shown := raw_pixels(passes.images, _a_few(observed.validation))
    ):
        raw, images = shown
        supposed = _map_of(arm, raw, images, (passes, tensor))
    if raw is not None and arm.as_trained is not None:
        as_trained = _map_of(arm, raw, arm.as_trained(raw))
    return InputTrace(layer, tensor, against_raw, as_trained, scalings(passes.inference, passes.images), supposed)


def _a_few(walked: Walk | None) -> npt.NDArray[Any] | None:
    """Images of a validation set, at most as many as go through the layers."""
    if walked is None or walked.images is None or not len(walked.images):
        return None
    rows = np.arange(len(walked.images))
    return walked.images[_spread(rows, min(PROBES, len(rows)))]


def _map_of(
    arm: Arm,
    raw: npt.NDArray[Any],
    images: npt.NDArray[Any],
    measured: tuple[Passes, npt.NDArray[Any]] | None = None,
) -> AffineMap | None:
    """The map from raw pixels to the first kernel when the model is fed these images.

    Args:
        arm: The arm.
        raw: ``(n, height, width, channels)``.
        images: What is fed for them.
        measured: A pass that was made already, and the tensor at the first kernel in it.
    """
    if measured is not None and measured[0].images is not None and np.array_equal(images, measured[0].images):
        return fit_affine(raw, measured[1])
    model = arm.network[0]
    with undisturbed(model):
        seen, _ = watch(model, lambda: model.predict_step((images,)), until=has_kernel)
    found = first_kernel_input(seen, images)
    return None if found is None else fit_affine(raw, found[1])


def _input_map(a: InputTrace | None, b: InputTrace | None) -> AffineMap | None:
    return None if a is None or b is None else fit_affine(a.tensor, b.tensor)


def _matched_validation(bottleneck: Observed, frozen: Observed, *, matched: bool) -> tuple[OrderTrace | None, bool]:
    """The frozen arm's validation order, in the bottleneck arm's sample numbers where the samples can be told.

    Where the training samples could be told by their images, validation images of which none is the same are others.
    """
    if bottleneck.arm.validation is None or frozen.arm.validation is None:
        return frozen.validation.order if frozen.validation else None, False
    assert bottleneck.validation is not None
    assert frozen.validation is not None
    numbers = match(bottleneck.arm.validation, bottleneck.validation, frozen.arm.validation, frozen.validation)
    if (
        numbers is None
        and matched
        and bottleneck.validation.images is not None
        and frozen.validation.images is not None
    ):
        numbers = np.full(len(frozen.validation.x), -1, np.int64)
    if numbers is None:
        return frozen.validation.order, False
    return renumbered(frozen.validation, numbers, len(bottleneck.validation.x)), True


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


def regions_of(left: Passes, right: Passes) -> Mapping[str, Region]:
    """Which part of a whole network each of its layers is, by what its partner in another network is."""
    return _regions(left, right, align(left.layers, right.layers))
