"""A model in the midst of its user's training, against the network whose stored features it should agree with.

Nothing here calls ``fit`` or reads the user's data: forward passes on given samples, and, of the training itself, the
variables before and after one of its own batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras.src.backend import compute_output_spec  # as Keras itself builds a model symbolically; no public name

from equivcheck.evidence import Evidence, Region
from equivcheck.trace.behaviour import variables_of_layer
from equivcheck.trace.compare import compare, first_divergence
from equivcheck.trace.floor import one_rounding
from equivcheck.trace.hooks import declared_inference
from equivcheck.trace.layers import watch
from equivcheck.trace.pair import regions_of
from equivcheck.trace.passes import passes_of_extractor, passes_of_model
from equivcheck.trace.state import restored
from equivcheck.trace.step import Step
from equivcheck.trace.variables import trace_variables

#: Every variable of a model as it was, by ``id``.
Values = Mapping[int, npt.NDArray[Any]]


def build(model: keras.Model, images: npt.NDArray[Any]) -> None:
    """Makes the weights of a model that has not been called yet, for batches of any size.

    On TensorFlow ``fit`` leaves that to the first batch, so a guard comes before it. The weights are those that the
    batch would have made: each initializer has got its seed already.

    Args:
        model: The model.
        images: ``(n, ...)`` inputs.

    Raises:
        InconclusiveError: A layer raised.
    """
    if all(layer.built for layer in model._flatten_layers()):  # noqa: SLF001  (a model's own flag may run ahead)
        return
    with restored(variables_of_layer(model)):
        try:
            compute_output_spec(model, keras.KerasTensor((None, *images.shape[1:]), images.dtype.name), training=False)
        except Exception:  # noqa: BLE001  (some calls only run on values, and tell more plainly what they miss)
            watch(model, lambda: model(keras.ops.convert_to_tensor(images[:1]), training=False))


def trace_live(model: keras.Model, extractor: keras.Model, images: npt.NDArray[Any]) -> Evidence:
    """Runs both on the same images and leaves every variable as it was.

    Args:
        model: The model that is trained, backbone and head in one.
        extractor: The backbone whose ``predict`` gives the stored features.
        images: ``(n, ...)`` as both are fed them.

    Returns:
        What can be told without data and steps: the layers of both and how they compare. The rest is blank.
    """
    with restored(variables_of_layer(model)), restored(variables_of_layer(extractor)):
        left = passes_of_extractor(extractor, images)
        right = passes_of_model(model, images)

        def again() -> tuple[Any, Any]:
            moved = passes_of_extractor(extractor, one_rounding(images)).inference
            return moved, moved

        rows = compare(left, right, frozenset(), values=True, again=again)
    regions = regions_of(left, right)
    blank = Evidence.of_logs({})
    return replace(
        blank,
        bottleneck=replace(blank.bottleneck, layers=left.layers),
        frozen=replace(
            blank.frozen,
            layers=tuple(replace(layer, region=regions[layer.path]) for layer in right.layers),
            variables=trace_variables(model, Step({}, {}), regions),
            declared_inference=declared_inference(model),
        ),
        matched=True,
        rows=rows,
        first_divergence=first_divergence(rows),
    )


def values_of(model: keras.Model) -> Values:
    """A copy of every variable."""
    return {id(variable): np.array(variable) for variable in model.variables}


def after_a_batch(evidence: Evidence, model: keras.Model, before: Values) -> Evidence:
    """The evidence with what one batch of the training has moved.

    Args:
        evidence: What ``trace_live`` found.
        model: The model.
        before: Its variables before that batch.
    """
    change = {
        id(variable): float(np.abs(np.array(variable, np.float64) - before[id(variable)]).max(initial=0.0))
        for variable in model.variables
        if id(variable) in before and np.issubdtype(before[id(variable)].dtype, np.number)
    }
    regions: dict[str, Region] = {layer.path.partition("#")[0]: layer.region for layer in evidence.frozen.layers}
    variables = trace_variables(model, Step(change, {}), regions)
    return replace(evidence, frozen=replace(evidence.frozen, variables=variables))
