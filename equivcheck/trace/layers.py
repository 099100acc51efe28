"""What every layer received and gave, in one pass through the outer model, and how each behaves on its own input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.diff.distance import NOISE, distance
from equivcheck.trace.hooks import LayerCall, hooked

Arrays = tuple[npt.NDArray[Any], ...]
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


@dataclass(frozen=True, slots=True)
class Seen:
    """One layer call of one pass.

    Attributes:
        path: Full path in its model.
        layer: The live layer.
        inputs: Tensors it received.
        outputs: Tensors it gave.
        call: The call itself, so that the layer can be run again on another input.
        behaviour: Set where it was asked for.
    """

    path: str
    layer: keras.layers.Layer
    inputs: Arrays
    outputs: Arrays
    call: LayerCall
    behaviour: Behaviour = Behaviour()


def watch(
    model: keras.Model, run: Callable[[], Any], *, prefix: str = "", behaviour: bool = False
) -> tuple[tuple[Seen, ...], Any]:
    """Runs the model once and records every layer call.

    Variables that the pass moves are the caller's to restore (``state.undisturbed``).

    Args:
        model: The outer model.
        run: Runs it eagerly.
        prefix: Put before each path.
        behaviour: Also runs each layer that could behave differently in ``fit`` again on its own input.

    Returns:
        The calls in the order in which they finished, and what ``run`` returned.
    """
    seen: list[Seen] = []
    watching = True
    known: dict[int, tuple[Any, npt.NDArray[Any]]] = {}

    def handler(call: LayerCall) -> Any:
        nonlocal watching
        if not watching:
            return call.run(*call.args, **call.kwargs)
        probing = behaviour and not _is_steady(call)
        before = _values(call.layer) if probing else ()
        outputs = call.run(*call.args, **call.kwargs)
        found = Behaviour()
        if probing:
            watching = False  # the extra runs are ours, not the model's
            try:
                found = _behaviour(call, outputs, before)
            finally:
                watching = True
        inputs = _shared(call.args, known)
        seen.append(Seen(prefix + call.path, call.layer, inputs, _shared(outputs, known), call, found))
        return outputs

    with hooked(model, handler):
        result = run()
    return tuple(seen), result


def rerun(call: LayerCall, inputs: Arrays) -> Arrays:
    """Runs one layer again as it was called, on other inputs of the same structure."""
    replaced = iter(inputs)
    args = keras.tree.map_structure(
        lambda leaf: keras.ops.convert_to_tensor(next(replaced)) if _is_tensor(leaf) else leaf, call.args
    )
    return arrays_of(call.run(*args, **call.kwargs))


def arrays_of(tensors: Any) -> Arrays:
    """All tensors of a nested structure as NumPy arrays, in order."""
    return tuple(keras.ops.convert_to_numpy(leaf) for leaf in keras.tree.flatten(tensors) if _is_tensor(leaf))


def _shared(tensors: Any, known: dict[int, tuple[Any, npt.NDArray[Any]]]) -> Arrays:
    """As ``arrays_of``, each tensor once: one layer's output is the next one's input, and deep networks are large."""
    for leaf in keras.tree.flatten(tensors):
        if _is_tensor(leaf) and id(leaf) not in known:
            known[id(leaf)] = leaf, keras.ops.convert_to_numpy(leaf)  # the tensor too, so that its id stays taken
    return tuple(known[id(leaf)][1] for leaf in keras.tree.flatten(tensors) if _is_tensor(leaf))


def largest_gap(reference: Sequence[npt.NDArray[Any]], other: Sequence[npt.NDArray[Any]]) -> float:
    """Largest relative difference over pairs of arrays; infinite where the shapes differ."""
    if len(reference) != len(other) or any(a.shape != b.shape for a, b in zip(reference, other, strict=True)):
        return float("inf")
    return max((distance(a, b).max_rel for a, b in zip(reference, other, strict=True)), default=0.0)


def _is_tensor(leaf: Any) -> bool:
    return keras.ops.is_tensor(leaf) or isinstance(leaf, np.ndarray)


def _is_steady(call: LayerCall) -> bool:
    """A layer of Keras itself that takes no ``training`` argument and draws nothing computes the same in all modes."""
    stock = type(call.layer).__module__.startswith("keras.")
    return stock and "training" not in call.kwargs and not any(map(is_seed, call.layer.variables))


def is_seed(variable: keras.Variable) -> bool:
    """Whether a variable is the state of a random generator."""
    return "seed_generator" in variable.path


def _values(layer: keras.layers.Layer) -> Values:
    return tuple((variable, np.array(variable)) for variable in layer.variables)


def _put_back(values: Values) -> None:
    """Statistics as they were, seed states as they are: the next run differs only by what it draws."""
    for variable, value in values:
        if not is_seed(variable):
            variable.assign(value)


def _behaviour(call: LayerCall, outputs: Any, before: Values) -> Behaviour:
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
    inputs = arrays_of(call.args)
    if half == 0 or not inputs or any(array.ndim == 0 or array.shape[0] != size for array in (*inputs, *first)):
        return 0.0
    _put_back(before)
    mates = rerun(call, tuple(array[:half] for array in inputs))
    return _audible(largest_gap([array[:half] for array in first], mates))


def _dropped(inputs: Arrays, outputs: Arrays) -> float:
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].shape != outputs[0].shape:
        return 0.0
    alive = inputs[0] != 0
    return float((outputs[0][alive] == 0).mean()) if alive.any() else 0.0
