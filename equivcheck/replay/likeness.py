"""When two models train by the same graph: what decides it, as text, and their variables in one order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from equivcheck.arms.inference import InferenceMode
from equivcheck.replay.compiled import Tables
from equivcheck.replay.eligible import compiled_as
from equivcheck.replay.frontier import Call, Frontier, Pass
from equivcheck.trace.behaviour import variables_of_layer
from equivcheck.trace.hooks import is_router
from equivcheck.trace.plan import is_composite
from equivcheck.trace.stock import has_plain_steps

#: Of a layer's configuration, what its variables hold, or what is only a name.
_HELD = {"name", "seed"}
#: Layers of Keras that treat each sample by itself when they are evaluated.
_BY_SAMPLE = (
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.Softmax,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What two models have in common that train by the same graph.

    Attributes:
        key: All that decides the graph.
        state: The variables that the graph works on, in an order that all models of this key share.
        additive: Losses and metrics of evaluation add up over samples, in whatever batches these come.
    """

    key: str
    state: tuple[Any, ...]
    additive: bool


def likeness(
    model: keras.Model, tables: Tables, fit: Pass, found: Frontier | None, calm: Frontier | None, x: tf.Tensor
) -> Likeness | None:
    """What a model has in common with others; None where that is not known, as for code of the user's own.

    Args:
        model: A compiled and built model.
        tables: What its training is fed.
        fit: A few samples through it, as ``train_step`` does it.
        found: Its frontier, if its training starts there.
        calm: The same of its evaluation.
        x: The samples of that pass.
    """
    calls = fit.calls if found is None else found.calls
    configuration = compiled_as(model)
    optimizer = configuration.get("optimizer")
    if not isinstance(optimizer, Mapping) or not has_plain_steps(model) or not is_router(model):
        return None
    layers = _described(calls, x if found is None else found.feature)
    settings = {name: value for name, value in optimizer["config"].items() if name not in {"name", "learning_rate"}}
    rate = optimizer["config"].get("learning_rate")
    if isinstance(rate, Mapping):  # a schedule is part of the graph, a number is a variable
        settings["schedule"] = rate
    state = _state(model, calls)
    places = {id(variable): place for place, variable in enumerate(state)}
    if layers is None or any(id(variable) not in places for variable in model.trainable_variables):
        return None
    parts = {
        "layers": layers,
        # Penalties on frozen weights count in older Keras, whatever lies behind the frontier.
        "losses": len(fit.result),
        "evaluated": "as trained" if calm is found else calm and len(calm.calls),
        "optimizer": [optimizer["class_name"], optimizer.get("module"), settings],
        "compiled": {name: value for name, value in configuration.items() if name != "optimizer"},
        "trainable": [places[id(variable)] for variable in model.trainable_variables],
        "state": [[str(variable.dtype), list(variable.shape)] for variable in state],
        "tables": tables.specification,
    }
    key = _as_key(parts)
    if key is None:
        return None
    return Likeness(key, state, _is_additive(model, calls if calm is None else calm.calls))


def _described(calls: Sequence[Call], start: tf.Tensor) -> list[Any] | None:
    """The layers and who feeds whom; None where a tensor comes from elsewhere, or a layer's own code decides."""
    single = _single(calls)
    if any(is_composite(call.layer) or "call" in vars(call.layer) for call in single):
        return None  # a layer whose call was put in its place does not do what its configuration says
    made: dict[int, int] = {id(start): -1}
    described: list[Any] = []
    for number, call in enumerate(single):
        if not isinstance(call.layer, keras.layers.Layer) or any(id(tensor) not in made for tensor in call.inputs):
            return None
        configuration = {
            name: value
            for name, value in call.layer.get_config().items()
            if name not in _HELD and not name.endswith("_initializer")
        }
        configuration["adapted"] = adapted_to(call.layer)
        kind = type(call.layer)
        feeds = [made[id(tensor)] for tensor in call.inputs]
        described.append([{"module": kind.__module__, "class": kind.__name__}, configuration, _flag(call), feeds])
        for tensor in tf.nest.flatten(call.outputs):
            made.setdefault(id(tensor), number)
    return described


def adapted_to(layer: keras.Operation) -> tuple[str, ...]:
    """What a graph holds of a layer as constants: Normalization computes with tensors that were made of its weights."""
    if not isinstance(layer, keras.layers.Normalization):
        return ()
    return tuple(np.array(weight).tobytes().hex() for weight in layer.weights)


def _single(calls: Sequence[Call]) -> list[Call]:
    """Without the calls of what only hands on: what it holds is called by itself, and says all."""
    return [call for call in calls if not (is_router(call.layer) or type(call.layer) is InferenceMode)]


def _flag(call: Call) -> bool | None:
    """The ``training`` value of a call, where that decides anything: not for frozen BatchNormalization of Keras 3."""
    frozen = type(call.layer) is keras.layers.BatchNormalization and not call.layer.trainable
    return None if frozen else call.flag


def before(passed: Pass, path: str) -> tuple[Call, ...]:
    """The calls of a pass up to one, with it."""
    place = next(number for number, call in enumerate(passed.calls) if call.path == path)
    return passed.calls[: place + 1]


def held_in(calls: Sequence[Call]) -> tuple[Any, ...]:
    """The variables that calls up to a frontier hold, in an order that all models have that are alike up to there."""
    return tuple({id(each): each for call in _single(calls) for each in variables_of_layer(call.layer)}.values())


def alike_before(model: keras.Model, calls: Sequence[Call], x: tf.Tensor) -> str | None:
    """What decides the graph of a model up to its frontier; None where it is not known.

    Whether a pass is one of training shows only in what it makes of the layers: a network that is kept in inference
    mode has one graph for both.

    Args:
        model: A compiled and built model.
        calls: A few samples through it up to there, as ``train_step`` or as ``test_step`` does it.
        x: The samples of that pass.
    """
    layers = _described(calls, x) if has_plain_steps(model) and is_router(model) else None
    held = [[str(each.dtype), list(each.shape)] for each in held_in(calls)]
    return None if layers is None else _as_key([layers, held, list(x.shape[1:]), x.dtype.name])


def _as_key(parts: Any) -> str | None:
    """What decides a graph, as text; None where code of the user's does, or what only its own class could describe."""
    if not _is_stock(parts):
        return None
    try:
        return json.dumps(parts, sort_keys=True)
    except TypeError:
        return None


def _state(model: keras.Model, calls: Sequence[Call]) -> tuple[Any, ...]:
    held = [variable for call in calls for variable in variables_of_layer(call.layer)]
    held += [*model.metrics_variables, *model.optimizer.variables]
    return tuple({id(variable): variable for variable in held}.values())


def _is_stock(part: Any) -> bool:
    """Whether nothing in a serialised structure is code of the user's."""
    if isinstance(part, Mapping):
        module = part.get("module")
        mine = module is None or str(module).partition(".")[0] in {"keras", "builtins", "equivcheck"}
        return mine and part.get("class_name") != "__lambda__" and all(map(_is_stock, part.values()))
    return not isinstance(part, list | tuple) or all(map(_is_stock, part))


def _is_additive(model: keras.Model, calls: Sequence[Call]) -> bool:
    """Whether evaluating all samples at once gives what evaluating them batch by batch does, but for rounding."""
    if any(type(call.layer) not in _BY_SAMPLE or call.layer.activity_regularizer is not None for call in calls):
        return False
    loss = model.loss
    averaged = isinstance(loss, str) or (isinstance(loss, keras.Loss) and loss.reduction == "sum_over_batch_size")
    metrics = [metric for compiled in model.metrics for metric in getattr(compiled, "metrics", [compiled])]
    return averaged and all(isinstance(metric, keras.metrics.Mean) for metric in metrics)
