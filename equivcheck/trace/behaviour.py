"""How one layer behaves in ``fit``: found by running it again on the input that it really received."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf

from equivcheck.arms.inference import InferenceMode
from equivcheck.arms.legacy import LegacyBatchNormalization
from equivcheck.diff.distance import distance
from equivcheck.diff.tally import NOISE
from equivcheck.trace.arrays import Arrays, arrays_of, tensors_of
from equivcheck.trace.hooks import LayerCall
from equivcheck.trace.memory import assign, values_of

Values = tuple[tuple[keras.Variable, tf.Tensor], ...]


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


class Meter:
    """Runs layers as they are called, and each again in the ways that tell how it behaves.

    Attributes:
        alike_once: Measure layers of Keras itself that are configured alike only once; the sizes of their gaps are
            then those of the first of them.
    """

    def __init__(self, *, alike_once: bool = False) -> None:
        self.alike_once = alike_once
        self._known: dict[str, Behaviour] = {}
        self._busy = False

    def __call__(self, call: LayerCall) -> tuple[Any, Behaviour | None]:
        """What the layer gave, and how it behaves; None for calls that are the meter's own and not the model's."""
        if self._busy:
            return call.run(*call.args, **call.kwargs), None
        # What an InferenceMode holds is measured layer by layer; it has nothing else.
        if type(call.layer) is InferenceMode or _is_steady(call):
            return call.run(*call.args, **call.kwargs), Behaviour()
        kind = _kind(call) if self.alike_once else None
        if kind is not None and kind in self._known:
            return call.run(*call.args, **call.kwargs), self._known[kind]
        before = _values(call.layer)
        outputs = call.run(*call.args, **call.kwargs)
        self._busy = True
        try:
            found = behaviour_of(call, outputs, before)
        finally:
            self._busy = False
        if kind is not None and _telling(call):
            self._known[kind] = found
        return outputs, found


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
        noise = 0.0 if _repeats(call) else _audible(largest_gap(first, arrays_of(call.run(*call.args, **call.kwargs))))
        return Behaviour(
            stochastic=noise > 0,
            dropped=_dropped(arrays_of(call.args), first) if noise else 0.0,
            noise=noise,
            mode_gap=_mode_gap(call, first, before),
            batch_gap=0.0 if noise else _batch_gap(call, first, before),
        )
    finally:
        _set(after)


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
    """A layer of Keras itself that takes no ``training`` argument and draws nothing computes the same in all modes.

    And it treats each sample by itself; a plain operation may well not: a mean over the first axis.
    """
    own = isinstance(call.layer, keras.layers.Layer) and _is_stock(call.layer, call.run)
    return own and "training" not in call.kwargs and not any(map(is_seed, variables_of_layer(call.layer)))


def _repeats(call: LayerCall) -> bool:
    """A layer of Keras itself that holds no other and draws nothing gives the same each time."""
    layer = call.layer
    own = type(layer) is LegacyBatchNormalization or _is_alone(layer, call.run)
    return own and not any(map(is_seed, variables_of_layer(layer)))


def _is_alone(layer: keras.Operation, run: Callable[..., Any]) -> bool:
    """Whether a layer is one of Keras' own that holds no other."""
    own = isinstance(layer, keras.layers.Layer) and _is_stock(layer, run)
    return own and not layer._flatten_layers(include_self=False)  # noqa: SLF001


def _is_stock(layer: keras.Operation, run: Callable[..., Any]) -> bool:
    """Whether a layer is one of Keras' own and runs no function of the user's, as a ``Lambda`` does."""
    held = (value for name, value in vars(layer).items() if name != "call" and inspect.isroutine(value))
    homes = (type(layer).__module__, *(getattr(function, "__module__", None) or "" for function in (run, *held)))
    return not isinstance(layer, keras.layers.Lambda) and all(home.startswith("keras.") for home in homes)


def _kind(call: LayerCall) -> str | None:
    """What decides how a layer of Keras itself behaves; None where that is not known.

    Its class, its configuration, whether it is frozen, the ``training`` value that it received, and the type of its
    input. A layer that holds others has more to it.
    """
    layer = call.layer
    if not _is_alone(layer, call.run):
        return None
    config = {name: value for name, value in layer.get_config().items() if name not in {"name", "seed"}}
    inputs = [(len(tensor.shape), str(tensor.dtype)) for tensor in tensors_of((call.args, call.kwargs))]
    return repr((type(layer), config, layer.trainable, call.kwargs.get("training"), inputs))


def _telling(call: LayerCall) -> bool:
    """Whether the samples of the input differ, without which no dependence on batch mates could show."""
    return any(array.ndim > 0 and len(array) > 1 and (array[0] != array[-1]).any() for array in arrays_of(call.args))


def _values(layer: keras.Operation) -> Values:
    variables = variables_of_layer(layer)
    return tuple(zip(variables, values_of(variables), strict=True))


def _put_back(values: Values) -> None:
    """Statistics as they were, seed states as they are: the next run differs only by what it draws."""
    _set([(variable, value) for variable, value in values if not is_seed(variable)])


def _set(values: Sequence[tuple[keras.Variable, tf.Tensor]]) -> None:
    assign([variable for variable, _ in values], [value for _, value in values])


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
    """How far the first outputs move where the second half of the batch is gone.

    Outputs need not have one row for each sample: what a batch's mean has moves as a whole.
    """
    inputs = arrays_of((call.args, call.kwargs))
    size = inputs[0].shape[0] if inputs and inputs[0].ndim else 0
    half = size // 2
    if half == 0 or any(array.ndim == 0 or array.shape[0] != size for array in inputs):
        return 0.0
    _put_back(before)
    try:
        mates = rerun(call, tuple(array[:half] for array in inputs))
    except Exception:  # noqa: BLE001  (a stateful layer takes batches of one size only)
        return 0.0
    if len(first) != len(mates) or any(a.ndim != b.ndim for a, b in zip(first, mates, strict=True)):
        return 0.0
    kept = [array[: len(other)] if array.ndim else array for array, other in zip(first, mates, strict=True)]
    if any(a.shape != b.shape for a, b in zip(kept, mates, strict=True)):
        return 0.0  # the samples do not lie along the first axis
    return _audible(largest_gap(kept, mates))


def _dropped(inputs: Arrays, outputs: Arrays) -> float:
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].shape != outputs[0].shape:
        return 0.0
    alive = inputs[0] != 0
    return float((outputs[0][alive] == 0).mean()) if alive.any() else 0.0
