"""How one layer behaves in ``fit``: found by running it again on the input that it really received."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.diff.distance import distance
from equivcheck.diff.tally import NOISE
from equivcheck.trace.arrays import Arrays, arrays_of, tensors_of
from equivcheck.trace.hooks import LayerCall

Values = tuple[tuple[keras.Variable, npt.NDArray[Any]], ...]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one layer behaves in fit mode, measured on the input that it really received.

    Attributes:
        stochastic: Two runs differ.
        dropped: Share of the non-zero inputs that came out as zero.
        noise: Largest difference of two runs, relative to the largest output.
        mode_gap: The same between fit mode and inference mode.
        batch_gap: The same between a sample among all its mates and among half of them.
    """

    stochastic: bool = False
    dropped: float = 0.0
    noise: float = 0.0
    mode_gap: float = 0.0
    batch_gap: float = 0.0


def before_call(call: LayerCall) -> Values | None:
    """What ``behaviour_of`` must know of a layer before it runs; None for one that behaves the same in all modes."""
    return None if _is_steady(call) else _values(call.layer)


def behaviour_of(call: LayerCall, outputs: Any, before: Values) -> Behaviour:
    """Runs a layer again in the ways that tell how it behaves, and leaves its variables as they are.

    Args:
        call: How it was called.
        outputs: What it gave.
        before: Its variables before that.
    """
    after = _values(call.layer)
    try:
        first = arrays_of(outputs)
        _put_back(before)
        noise = _audible(largest_gap(first, arrays_of(call.run(*call.args, **call.kwargs))))
        return Behaviour(
            stochastic=noise > 0,
            dropped=_dropped(arrays_of(call.args), first) if noise else 0.0,
            noise=noise,
            mode_gap=_mode_gap(call, first, before),
            batch_gap=0.0 if noise else _batch_gap(call, first, before),
        )
    finally:
        for variable, value in after:
            variable.assign(value)


def rerun(call: LayerCall, inputs: Sequence[Any]) -> Arrays:
    """Runs one layer again as it was called, on other inputs of the same structure (``tensors_of`` gives the order)."""
    replaced = iter(inputs)

    def other(leaf: Any) -> Any:
        parts = [keras.ops.convert_to_tensor(next(replaced)) for _ in tensors_of(leaf)]
        return tf.nest.pack_sequence_as(leaf, parts, expand_composites=True) if parts else leaf

    args, kwargs = keras.tree.map_structure(other, (call.args, call.kwargs))
    return arrays_of(call.run(*args, **kwargs))


def largest_gap(reference: Sequence[npt.NDArray[Any]], other: Sequence[npt.NDArray[Any]]) -> float:
    """Largest relative difference over pairs of arrays; infinite where the shapes differ."""
    if len(reference) != len(other) or any(a.shape != b.shape for a, b in zip(reference, other, strict=True)):
        return float("inf")
    return max((distance(a, b).max_rel for a, b in zip(reference, other, strict=True)), default=0.0)


def is_seed(variable: keras.Variable) -> bool:
    """Whether a variable is the state of a random generator."""
    return "seed_generator" in getattr(variable, "path", "")


def variables_of_layer(layer: keras.Operation) -> list[keras.Variable]:
    """A layer's variables, with those that Keras does not list; a plain operation has none."""
    if not isinstance(layer, keras.layers.Layer):
        return []
    found = [*layer.variables, *layer.metrics_variables]
    for part in layer._flatten_layers():  # noqa: SLF001  (no public list)
        # The state of a stateful recurrent layer, and variables of TensorFlow's own.
        held = (*keras.tree.flatten(getattr(part, "states", None)), *vars(part).values())
        found += [variable for variable in held if isinstance(variable, keras.Variable | tf.Variable)]
    return list({id(variable): variable for variable in found}.values())


def _is_steady(call: LayerCall) -> bool:
    """A layer of Keras itself that takes no ``training`` argument and draws nothing computes the same in all modes."""
    stock = type(call.layer).__module__.startswith("keras.")
    return stock and "training" not in call.kwargs and not any(map(is_seed, variables_of_layer(call.layer)))


def _values(layer: keras.Operation) -> Values:
    return tuple((variable, np.array(variable)) for variable in variables_of_layer(layer))


def _put_back(values: Values) -> None:
    """Statistics as they were, seed states as they are: the next run differs only by what it draws."""
    for variable, value in values:
        if not is_seed(variable):
            variable.assign(value)


def _audible(gap: float) -> float:
    """The gap, or 0 where it is float noise."""
    return gap if gap > NOISE else 0.0


def _mode_gap(call: LayerCall, first: Arrays, before: Values) -> float:
    if not call.kwargs.get("training"):
        return 0.0
    _put_back(before)
    calm = arrays_of(call.run(*call.args, **{**call.kwargs, "training": False}))
    return _audible(largest_gap(calm, first))


def _batch_gap(call: LayerCall, first: Arrays, before: Values) -> float:
    size = first[0].shape[0] if first and first[0].ndim else 0
    half = size // 2
    inputs = arrays_of((call.args, call.kwargs))
    if half == 0 or not inputs or any(array.ndim == 0 or array.shape[0] != size for array in (*inputs, *first)):
        return 0.0
    _put_back(before)
    try:
        mates = rerun(call, tuple(array[:half] for array in inputs))
    except Exception:  # noqa: BLE001  (a stateful layer takes batches of one size only)
        return 0.0
    return _audible(largest_gap([array[:half] for array in first], mates))


def _dropped(inputs: Arrays, outputs: Arrays) -> float:
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].shape != outputs[0].shape:
        return 0.0
    alive = inputs[0] != 0
    return float((outputs[0][alive] == 0).mean()) if alive.any() else 0.0
