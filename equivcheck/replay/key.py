"""What decides the outcome of a training, as one digest: the key of a finished replay."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.arms.arm import Arm
from equivcheck.replay.compiled import Tables
from equivcheck.replay.course import Values
from equivcheck.replay.eligible import compiled_as, obstacle
from equivcheck.replay.tables import tables_of
from equivcheck.trace.arrays import array_of
from equivcheck.trace.memory import same_memory, values_of
from equivcheck.trace.state import variables_of
from equivcheck.trace.stock import is_stock


@dataclass(frozen=True, slots=True)
class Digests:
    """What was digested before, for further trainings of the same models.

    Attributes:
        networks: The layers of a model, as text, by ``id``, with their names but for those of inputs; and the model, so
            that nothing takes its place in memory.
        models: What a model is made of and compiled with, as text, by ``id``; with the optimizer, which is another one
            when it is compiled again.
        values: What a variable held and its digest, by the variable's ``id``; with the variable.
    """

    networks: dict[int, tuple[keras.Model, str]] = field(default_factory=dict)
    models: dict[int, tuple[keras.optimizers.Optimizer, str]] = field(default_factory=dict)
    values: dict[int, tuple[Any, tf.Tensor, bytes]] = field(default_factory=dict)

    def network(self, model: keras.Model) -> str:
        """The layers of a model.

        Raises:
            TypeError: Something that only its own class could describe; or a ValueError, or a NotImplementedError.
        """
        if id(model) not in self.networks:
            layers = json.dumps(model.get_config(), sort_keys=True)
            inputs = (layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.InputLayer))  # noqa: SLF001
            self.networks[id(model)] = model, _numbered(layers, inputs)
        return self.networks[id(model)][1]

    def model(self, model: keras.Model) -> str:
        """What a model is made of, and what it is compiled with.

        Raises:
            TypeError: As for ``network``.
        """
        known = self.models.get(id(model))
        if known is None or known[0] is not model.optimizer:
            made_of = self.network(model) + json.dumps(compiled_as(model), sort_keys=True)
            named = (*model._flatten_layers(), model.optimizer)  # noqa: SLF001  (no public list)
            self.models[id(model)] = known = model.optimizer, _numbered(made_of, named)
        return known[1]

    def value(self, variable: Any, value: tf.Tensor) -> bytes:
        """The digest of what a variable holds."""
        known = self.values.get(id(variable))
        if known is None or not same_memory(known[1], value):
            self.values[id(variable)] = known = variable, value, _digested(array_of(value))
        return known[2]


def key_of(
    arm: Arm,
    *,
    joined: bool = False,
    digests: Digests | None = None,
    tables: Tables | None = None,
    held: Values | None = None,
) -> str | None:
    """A digest of everything that decides the curves and the weights of a training.

    It sets the random generators as ``fit`` finds them, but for tables that are known.

    Args:
        arm: The arm, built and compiled, as it stands before its training.
        joined: Whether small batches of validation may be evaluated together.
        digests: What was digested before, where this is kept as well.
        tables: Its data, where they are known.
        held: What its model's variables hold, where that is known.

    Returns:
        40 hexadecimal digits; None for an arm with code of the user's own, whose changes no key can see, and for one
        that is trained by ``fit``.
    """
    if arm.made_by is not None or obstacle(arm) is not None:
        return None
    model = arm.model
    if not is_stock(model):
        return None
    digests = Digests() if digests is None else digests
    try:
        made_of = digests.model(model)
    except (TypeError, ValueError, NotImplementedError):  # something that only its own class could describe
        return None
    tables = tables_of(arm) if tables is None else tables
    flags = [layer.trainable for layer in model._flatten_layers()]  # noqa: SLF001  (no public list)
    about = [_about(arm), joined, flags, tables.batch_size, tables.validation_batch_size]
    digest = hashlib.blake2b(json.dumps([*about, made_of], sort_keys=True).encode(), digest_size=20)
    digest.update(digest_of(tables.arrays))
    variables = variables_of(model)
    values = values_of(variables) if held is None else [held[id(variable)] for variable in variables]
    for variable, value in zip(variables, values, strict=True):
        digest.update(digests.value(variable, value))
    return digest.hexdigest()


def digest_of(arrays: Iterable[Any]) -> bytes:
    """Of what several arrays or tensors hold, one behind the other."""
    digest = hashlib.blake2b(digest_size=20)
    for array in arrays:
        digest.update(_digested(array_of(array)))
    return digest.digest()


def _numbered(text: str, named: Iterable[Any]) -> str:
    """The text with numbers in the place of names, which Keras numbers by what a process makes."""
    for number, one in enumerate(named):
        text = text.replace(json.dumps(one.name), json.dumps(f"number {number}"))
    return text


def _digested(value: npt.NDArray[Any]) -> bytes:
    digest = hashlib.blake2b(f"{value.dtype} {value.shape}".encode(), digest_size=20)
    digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    return digest.digest()


def _about(arm: Arm) -> Mapping[str, Any]:
    return {
        "equivcheck": _own_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "arm": arm.name,
        "seed": arm.seed,
        "fit": {name: repr(value) for name, value in sorted(arm.fit.items()) if name != "callbacks"},
        "stops": [_told_of(callback) for callback in arm.fit.get("callbacks") or ()],
    }


@cache
def _own_version() -> str:
    """Read once: it is looked for among all that is installed, which takes as long as the rest of a key."""
    try:
        return version("equivcheck")
    except PackageNotFoundError:  # pragma: no cover  (a source tree on the path, not installed)
        return "unknown"


def _told_of(callback: keras.callbacks.EarlyStopping) -> list[Any]:
    """All that decides when it stops; Keras turns the sign of its own min_delta."""
    told = (callback.monitor, callback.mode, callback.patience, callback.baseline, callback.start_from_epoch)
    return [*told, abs(callback.min_delta)]
