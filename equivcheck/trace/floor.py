"""The noise floor: how far each layer's output moves when the model's input is changed by one rounding.

A difference that is no larger than what rounding makes of the same layers is no difference. How much a network
amplifies a rounding depends on its depth and weights, so it is measured: one input is changed in the last place, run
again, and each layer's output compared with what it was. The same run shows what a repeated run changes by itself.
(The method is TTrace's, arXiv 2506.09280: perturb by machine epsilon, report differences as multiples.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from equivcheck.trace.arrays import array_of
from equivcheck.trace.behaviour import largest_gap, rerun, variables_of_layer
from equivcheck.trace.layers import Seen
from equivcheck.trace.state import restored


def one_rounding(batch: Any) -> Any:
    """The batch with every element moved to the next number of its type, up or down; integers and text as they are."""
    return tf.nest.map_structure(_moved, batch, expand_composites=True)


def floors(reference: Sequence[Seen], again: Sequence[Seen]) -> Mapping[str, float]:
    """Noise floor by layer path, relative to the layer's largest activation.

    Args:
        reference: A pass.
        again: The same pass on ``one_rounding`` of its batch.
    """
    moved = {seen.path: seen for seen in again}
    return {
        seen.path: gap
        for seen in reference
        if seen.path in moved and np.isfinite(gap := largest_gap(seen.outputs, moved[seen.path].outputs))
    }


def own_floor(seen: Seen) -> float | None:
    """Noise floor of a layer alone: how far its output moves when its own input is changed by one rounding.

    That is the floor of a layer whose inputs are equal to the last bit: no rounding came from before it.
    """
    variables = variables_of_layer(seen.layer)
    passes = []
    for inputs in (seen.inputs, tuple(map(one_rounding, seen.inputs))):
        with restored(variables):  # so both draw the same
            passes.append(rerun(seen.call, inputs))
    gap = largest_gap(*passes)
    return gap if np.isfinite(gap) else None


def _moved(tensor: Any) -> Any:
    values = array_of(tensor)
    if not tf.as_dtype(tensor.dtype).is_floating:
        return tensor
    up = np.random.default_rng(0).random(values.shape) < 0.5  # noqa: PLR2004
    moved = np.nextafter(values, np.where(up, np.inf, -np.inf).astype(values.dtype))
    return tf.convert_to_tensor(moved, tf.as_dtype(tensor.dtype))
