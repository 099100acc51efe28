"""What decides the outcome of a training, as one digest: the key of a finished replay."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from equivcheck.arms.arm import Arm
from equivcheck.replay.eligible import obstacle
from equivcheck.replay.tables import tables_of
from equivcheck.trace.state import variables_of


def key_of(arm: Arm, *, joined: bool = False) -> str | None:
    """A digest of everything that decides the curves and the weights of a training.

    It sets the random generators as ``fit`` finds them.

    Args:
        arm: The arm, built and compiled, as it stands before its training.
        joined: Whether small batches of validation may be evaluated together.

    Returns:
        40 hexadecimal digits; None for an arm with code of the user's own, whose changes no key can see, and for one
        that is trained by ``fit``.
    """
    if arm.made_by is not None or obstacle(arm) is not None:
        return None
    model = arm.model
    if not _is_stock(model):
        return None
    try:
        about = json.dumps([_about(arm), joined, model.get_config(), model.get_compile_config()], sort_keys=True)
    except (TypeError, ValueError, NotImplementedError):  # something that only its own class could describe
        return None
    layers = list(model._flatten_layers())  # noqa: SLF001  (no public list)
    for number, named in enumerate((*layers, model.optimizer)):  # Keras numbers what a process makes
        about = about.replace(json.dumps(named.name), json.dumps(f"number {number}"))
    digest = hashlib.blake2b(about.encode(), digest_size=20)
    tables = tables_of(arm)
    flags = [layer.trainable for layer in layers]
    digest.update(json.dumps([flags, tables.batch_size, tables.validation_batch_size]).encode())
    arrays: list[Any] = [tables.order, *tables.train, *(tables.validation or ())]
    for array in (*arrays, *variables_of(model)):
        value = np.ascontiguousarray(keras.ops.convert_to_numpy(array) if not isinstance(array, np.ndarray) else array)
        digest.update(f"{value.dtype} {value.shape}".encode())  # so that no two lists of arrays read alike
        digest.update(value.tobytes())
    return digest.hexdigest()


def _about(arm: Arm) -> Mapping[str, Any]:
    try:
        own = version("equivcheck")
    except PackageNotFoundError:  # pragma: no cover  (a source tree on the path, not installed)
        own = "unknown"
    return {
        "equivcheck": own,
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "arm": arm.name,
        "seed": arm.seed,
        "fit": {name: repr(value) for name, value in sorted(arm.fit.items())},
    }


def _is_stock(model: keras.Model) -> bool:
    """Whether all that a model is made of is Keras' or ours, so that its configuration says all."""
    objects = [*model._flatten_layers(), model.optimizer, model.loss, *_metrics(model)]  # noqa: SLF001
    return all(
        isinstance(one, str) or type(one).__module__.partition(".")[0] in {"keras", "equivcheck"} for one in objects
    )


def _metrics(model: keras.Model) -> list[Any]:
    return [metric for compiled in model.metrics for metric in getattr(compiled, "metrics", [compiled])]
