"""The stochastic frontier: the last tensor that all of a network goes through and that is the same in every epoch.

What lies before it is a function of the batch alone, and batches repeat, so it is computed once. A tensor qualifies
where no layer before it draws random numbers or holds a variable that training moves, and where nothing else from
before it is used behind it. The last is not derived but tried: a few samples go through the network a second time,
with rubbish in the place of everything before the tensor, and must come out the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend import get_keras_mask  # a tensor's mask has no public reader

from equivcheck.errors import InconclusiveError
from equivcheck.trace.behaviour import is_seed, variables_of_layer
from equivcheck.trace.hooks import Handler, LayerCall, layers_by_path
from equivcheck.trace.layers import overheard
from equivcheck.trace.plan import is_composite
from equivcheck.trace.state import undisturbed, variables_of

#: Samples that are tried: more than one, so that the axis of the samples shows, and a size that few axes have.
TRIED = 3


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one layer on the samples that are tried.

    Attributes:
        path: Full path in the model.
        layer: The live layer.
        inputs: The tensors that it received, in order.
        outputs: What it gave, as structured.
        flag: The ``training`` value that it received.
    """

    path: str
    layer: keras.Operation
    inputs: tuple[tf.Tensor, ...]
    outputs: Any
    flag: bool | None

    def of(self, layers: Mapping[str, keras.Operation]) -> Call:
        """The same call of another model's layer, by path."""
        return replace(self, layer=layers[self.path.partition("#")[0]])


@dataclass(frozen=True, slots=True)
class Pass:
    """One way through the model on the samples that are tried.

    Attributes:
        calls: The calls, in the order in which they finished.
        result: The model's output and its own losses.
        moved: The variables that the pass changed, by ``id``.
        training: As ``train_step`` runs it, or as ``test_step``.
    """

    calls: tuple[Call, ...]
    result: tuple[tf.Tensor, ...]
    moved: frozenset[int]
    training: bool

    def of(self, layers: Mapping[str, keras.Operation], moved: frozenset[int]) -> Pass:
        """The same pass of another model of the same layers, by path, with those of its variables that move."""
        return replace(self, calls=tuple(call.of(layers) for call in self.calls), moved=moved)

    @property
    def made(self) -> int:
        """Numbers that its layers make for a sample."""
        return _made(self.calls)


@dataclass(frozen=True, slots=True)
class Frontier:
    """Where a network is cut.

    Attributes:
        path: The call whose output is stored.
        shape: Its shape for one sample.
        skipped: Every call before it with its output for one sample, as structured.
        calls: The calls behind it, those of layers that hold others included.
        feature: The stored tensor for the samples that were tried.
    """

    path: str
    shape: tuple[int, ...]
    skipped: Mapping[str, Any]
    calls: tuple[Call, ...]
    feature: tf.Tensor

    def of(self, layers: Mapping[str, keras.Operation]) -> Frontier:
        """The same frontier of another model of the same layers, by path."""
        return replace(self, calls=tuple(call.of(layers) for call in self.calls))

    @property
    def made(self) -> int:
        """Numbers that the layers behind it make for a sample."""
        return _made(self.calls)


def _made(calls: Iterable[Call]) -> int:
    return sum(int(np.prod(tensor.shape[1:])) for call in calls for tensor in tf.nest.flatten(call.outputs))


def run_through(model: keras.Model, x: tf.Tensor, *, training: bool) -> Pass:
    """Runs a few samples through the model, eagerly, and puts everything back.

    Raises:
        InconclusiveError: A layer raised.
    """
    calls: list[Call] = []

    def note(call: LayerCall) -> Any:
        outputs = call.run(*call.args, **call.kwargs)
        inputs = tuple(leaf for leaf in tf.nest.flatten((call.args, call.kwargs)) if tf.is_tensor(leaf))
        calls.append(Call(call.path, call.layer, inputs, outputs, call.flag))
        return outputs

    with undisturbed(model):
        variables = variables_of(model)
        before = [np.array(variable) for variable in variables]
        result = overheard(model, lambda: _run(model, x, training=training), note)
        moved = frozenset(
            id(variable)
            for variable, value in zip(variables, before, strict=True)
            if not np.array_equal(value, np.array(variable), equal_nan=True)
        )
    return Pass(tuple(calls), result, moved, training)


def find_frontier(
    model: keras.Model, x: tf.Tensor, fit: Pass, calm: Pass, *, besides: frozenset[int] = frozenset()
) -> Frontier | None:
    """The frontier of a model; None where everything has to run in every step.

    Args:
        model: A compiled and built model.
        x: The samples that both were passed with.
        fit: The pass of ``train_step``.
        calm: The pass of ``test_step``.
        besides: Variables that may move before it as the model is trained, by ``id``.
    """
    return _found(model, x, {*(fit.moved - besides), *calm.moved}, (fit, calm))


def find_calm_frontier(model: keras.Model, x: tf.Tensor, fit: Pass, calm: Pass) -> Frontier | None:
    """The frontier of evaluation alone, which augmentation and dropout leave to it; as for ``find_frontier``."""
    seeds = {id(variable) for variable in variables_of(model) if is_seed(variable)}
    return _found(model, x, {*(fit.moved - seeds), *calm.moved}, (calm,))


def _found(model: keras.Model, x: tf.Tensor, moved: set[int], passes: Sequence[Pass]) -> Frontier | None:
    """The last place where all passes can be cut; the first of them says what is called."""
    calls = passes[0].calls
    moving = {id(variable) for variable in model.trainable_variables} | moved
    first = next((i for i, call in enumerate(calls) if _is_live(call, moving)), len(calls))
    parts = {id(call.layer): _parts(call.layer) for call in calls}
    for place in range(first - 1, -1, -1):
        found = _cut(calls, place, parts)
        if found is not None and all(_holds(model, x, each, found) for each in passes):
            return found
    return None


def _is_live(call: Call, moving: set[int]) -> bool:
    """Whether a layer does something else in the next epoch, or something that shows in the loss."""
    variables = variables_of_layer(call.layer)
    if any(id(variable) in moving for variable in variables):
        return True
    if not isinstance(call.layer, keras.layers.Layer):
        return False
    parts = call.layer._flatten_layers()  # noqa: SLF001  (no public list)
    return any(part.activity_regularizer is not None or part._losses for part in parts)  # noqa: SLF001


def _parts(layer: keras.Operation) -> frozenset[int]:
    """The layers inside a layer, by ``id``."""
    if not is_composite(layer):
        return frozenset()
    return frozenset(map(id, layers_by_path(layer).values())) - {id(layer)}


def _cut(calls: Sequence[Call], place: int, parts: Mapping[int, frozenset[int]]) -> Frontier | None:
    """What a cut behind a call would be, where no layer behind it takes a tensor that was there before.

    Args:
        calls: All calls.
        place: The call at whose output to cut.
        parts: The layers inside each layer, by ``id``.
    """
    feature = calls[place].outputs
    if not tf.is_tensor(feature) or not _per_sample(feature) or get_keras_mask(feature) is not None:
        return None
    before = {id(tensor) for call in calls[: place + 1] for tensor in (*call.inputs, *tf.nest.flatten(call.outputs))}
    before -= {id(feature)}
    # A layer that is skipped whole never calls its parts.
    inside = frozenset[int]().union(*(parts[id(call.layer)] for call in calls[: place + 1]))
    skipped = {call.path: call.outputs for call in calls[:place] if id(call.layer) not in inside}
    live = calls[place + 1 :]
    # A shared layer's second call is told from its first by counting, which skipping would upset.
    counted = {call.path.partition("#")[0] for call in live}
    if counted & {path.partition("#")[0] for path in (*skipped, calls[place].path)}:
        return None
    if any(not parts[id(call.layer)] and any(id(tensor) in before for tensor in call.inputs) for call in live):
        return None
    if not all(_per_sample(leaf) for outputs in skipped.values() for leaf in tf.nest.flatten(outputs)):
        return None
    recipes = {
        path: tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape[1:], leaf.dtype), outputs)
        for path, outputs in skipped.items()
    }
    return Frontier(calls[place].path, tuple(feature.shape[1:]), recipes, tuple(live), feature)


def _holds(model: keras.Model, x: tf.Tensor, usual: Pass, found: Frontier) -> bool:
    """Whether the model gives the same although all before the cut is rubbish."""
    feature: Any = next((call.outputs for call in usual.calls if call.path == found.path), None)
    if not tf.is_tensor(feature) or tuple(feature.shape[1:]) != found.shape or get_keras_mask(feature) is not None:
        return False
    rubbish = _filled(tf.TensorSpec(x.shape[1:], x.dtype), feature, broken=True)
    try:
        with undisturbed(model):
            handler = stand_in(found, feature, broken=True)
            result = overheard(model, lambda: _run(model, rubbish, training=usual.training), handler)
    except InconclusiveError:
        return False
    return len(result) == len(usual.result) and all(
        np.array_equal(one.numpy(), other.numpy(), equal_nan=True)
        for one, other in zip(result, usual.result, strict=True)
    )


def stand_in(found: Frontier, feature: tf.Tensor, *, broken: bool = False) -> Handler:
    """Gives every call before the frontier something of the right shape, and the frontier what was stored.

    Args:
        found: The frontier.
        feature: ``(batch, ...)`` its stored output for this batch.
        broken: Stand in with NaN, which shows wherever it is used, and not with zeros.
    """
    made: dict[Any, tf.Tensor] = {}  # one of each shape serves all calls of a pass

    def filled(leaf: tf.TensorSpec) -> tf.Tensor:
        if leaf not in made:
            made[leaf] = _filled(leaf, feature, broken=broken)
        return made[leaf]

    def handler(call: LayerCall) -> Any:
        if call.path == found.path:
            return feature
        if call.path not in found.skipped:
            return call.run(*call.args, **call.kwargs)
        return tf.nest.map_structure(filled, found.skipped[call.path])

    return handler


def blank(x: tf.TensorSpec, feature: tf.Tensor) -> tf.Tensor:
    """What the model is fed where nothing of it is used: as many rows as the batch of stored features."""
    return _filled(x, feature, broken=False)


def _filled(leaf: tf.TensorSpec, feature: tf.Tensor, *, broken: bool) -> tf.Tensor:
    value = tf.cast(np.nan if broken and leaf.dtype.is_floating else 0, leaf.dtype)
    filled: tf.Tensor = tf.fill(tf.concat([tf.shape(feature)[:1], np.array(leaf.shape, np.int32)], 0), value)
    filled.set_shape([feature.shape[0], *leaf.shape])
    return filled


def _per_sample(tensor: Any) -> bool:
    return bool(tf.is_tensor(tensor) and tensor.shape.rank and tensor.shape[0] == TRIED)


def _run(model: keras.Model, x: tf.Tensor, *, training: bool) -> tuple[tf.Tensor, ...]:
    """The forward pass of a step: what the model gives, and the losses that its layers add."""
    outputs = model(x, training=training) if model._call_has_training_arg else model(x)  # noqa: SLF001  (as its step)
    return (*tf.nest.flatten(outputs), *map(tf.convert_to_tensor, model.losses))
