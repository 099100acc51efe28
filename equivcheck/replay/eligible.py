"""Whether a training by ``fit`` can be run as one compiled graph and be sure to be the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend import config  # limits for debugging have no public reader

from equivcheck.arms.arm import Arm, Split
from equivcheck.arms.wrapping import WrappingBatches
from equivcheck.trace.hooks import is_router
from equivcheck.trace.stock import has_own

#: Arguments of ``fit`` that are understood, and what each must be; None: anything.
_ARGUMENTS: dict[str, tuple[Any, ...] | None] = {
    "epochs": None,
    "batch_size": None,
    "shuffle": None,
    "class_weight": None,
    "validation_batch_size": None,
    "verbose": None,
    "initial_epoch": (0,),
    "steps_per_epoch": (None,),
    "validation_steps": (None,),
    "validation_split": (None, 0, 0.0),
    "validation_freq": (1,),
}
#: What ``fit`` is made of: a model with its own may do anything around its steps.
_AROUND = (
    "fit",
    "evaluate",
    "make_train_function",
    "make_test_function",
    "_make_function",
    "reset_metrics",
    "get_metrics_result",
    "_get_metrics_result_or_logs",
)


def compiled_as(model: keras.Model) -> dict[str, Any]:
    """What a model is compiled with, its live optimizer included, which need not be the one that it was given then."""
    made = keras.saving.serialize_keras_object(model.optimizer)
    return {**model.get_compile_config(), "optimizer": made}


def obstacle(arm: Arm) -> str | None:
    """Why only ``fit`` itself can train the arm; None where nothing speaks against compiling it."""
    model = arm.model
    reasons = {
        "its data are no arrays": not arm.begins_anew,
        "its batches are not all of one size": not all(map(_is_even, (arm.train, arm.validation))),
        "the model has a fit of its own": any(has_own(model, name) for name in _AROUND),
        "it is trained eagerly": model.run_eagerly or tf.config.functions_run_eagerly(),
        "it is compiled with jit_compile": model.jit_compile,
        "it is compiled with steps_per_execution": model.steps_per_execution != 1,
        "it is trained under a distribution strategy": model._distribute_strategy is not None,  # noqa: SLF001
        "its epochs are limited": config.max_epochs() or config.max_steps_per_epoch() or model._initial_epoch,  # noqa: SLF001
        "it has no optimizer": model.optimizer is None,
        "it is built by fit": not all(layer.built for layer in model._flatten_layers()),  # noqa: SLF001
    }
    given = {name: value for name, value in arm.fit.items() if name != "callbacks"}
    reasons |= {f"fit is given {name}": not _understood(name, value) for name, value in given.items()}
    reasons["fit is given callbacks"] = not _only_stop(arm.fit.get("callbacks") or ())
    return next((reason for reason, holds in reasons.items() if holds), None)


def _is_even(split: Split | None) -> bool:
    """Whether a generator that wraps around gives batches of one size; arrays may end in a smaller one."""
    if split is None or not isinstance(split.feed.x, WrappingBatches):
        return True
    batches = split.feed.x
    return len(batches.x) % batches.size == 0 or len(batches.x) < batches.size


def _only_stop(callbacks: Any) -> bool:
    """Whether callbacks do nothing but end the training behind an epoch."""
    return isinstance(callbacks, list | tuple) and all(
        type(callback) is keras.callbacks.EarlyStopping and not callback.restore_best_weights for callback in callbacks
    )


def _understood(name: str, value: Any) -> bool:
    allowed = _ARGUMENTS.get(name, ())
    return allowed is None or any(type(value) is type(one) and value == one for one in allowed)


def build(arm: Arm) -> None:
    """Makes the variables of loss, metrics and optimizer, which ``fit`` makes on the way."""
    model = arm.model
    row = tuple(part[:1] for part in arm.train.feed.table)  # only shapes matter
    if arm.made_by is None and is_router(model):
        _build_by_shape(model, row)
    model._symbolic_build(data_batch=row)  # noqa: SLF001
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


def _build_by_shape(model: keras.Model, row: Sequence[Any]) -> None:
    """Builds loss and metrics on the shape that the model's output is known to have.

    ``_symbolic_build`` traces the whole network to find it, which takes a tenth of a second for each arm. The metrics
    of an arm that a spec makes are averages, which have their variables from the beginning.
    """
    place = model.outputs[0]
    answer = keras.KerasTensor((len(row[0]), *place.shape[1:]), place.dtype)
    for part in (model._compile_metrics, model._compile_loss):  # noqa: SLF001  (no public reader)
        if part is not None and not part.built:
            part.build(row[1], answer)
