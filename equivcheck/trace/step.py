"""One real training step of ``fit``: which variables it moves, and which ``training`` value each layer received."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.arms.said import described
from equivcheck.arms.seeding import set_seeds
from equivcheck.trace.hooks import LayerCall, hooked
from equivcheck.trace.losses import LOGITS
from equivcheck.trace.scale import MOST_SKIPPED, scales_loss
from equivcheck.trace.state import undisturbed
from equivcheck.trace.tape import recording_trained


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did.

    Attributes:
        change: Largest absolute change of each variable, by ``id`` of the variable.
        flags: ``training`` values by layer path, for layers that take one.
        failure: What ``fit`` raised, if it did, in one line and with the place in the user's own code; then ``change``
            is what the step would have done under a loss that takes any labels, and no flags are known.
        seconds: What the step took, tracing included where it was traced: no step of the training takes longer.
    """

    change: Mapping[int, float]
    flags: Mapping[str, bool | None]
    failure: str | None = None
    seconds: float = 0.0


def take_step(arm: Arm) -> Step:
    """Runs ``fit`` for one step and puts everything back.

    Under mixed precision the loss is scaled, and a step whose gradients overflow is skipped and the scale halved; then
    ``fit`` runs until a step is taken, for what is frozen shows in no other.

    An arm of the user's, one that was trained before, or one whose later phase is not compiled anew, goes through the
    train function that its real training uses, and the function that Keras traces for it stays: training need not trace
    it again, or even must not. Stock layers do the same in a step that is not traced, so otherwise none is: tracing
    takes longer than a step.
    """
    model, feed = arm.model, arm.train.feed
    goes_on = not all(later.recompiles for later in arm.later)
    traced = arm.made_by is not None or goes_on or model.train_function is not None
    set_seeds(arm.seed, made_by=arm.made_by)
    with undisturbed(model), nullcontext() if traced else _untraced(model):
        before = [np.array(variable) for variable in model.variables]
        begun = _steps_taken(model)
        try:
            with flags_of(model) as flags:
                seconds = fit_one_step(arm)
            for _ in range(MOST_SKIPPED if scales_loss(model) else 0):
                if _steps_taken(model) > begun:
                    break
                fit_one_step(arm)
        except Exception as error:  # noqa: BLE001  (whatever user code or a loss raises ends the step)
            with _taking_any_labels(model), suppress(Exception):
                model.fit(feed.x, feed.y, **_arguments(arm))
            return Step(_changed(model, before), {}, described(error))
        return Step(_changed(model, before), flags, seconds=seconds)


def fit_one_step(arm: Arm) -> float:
    """Runs ``fit`` for one step; what that took, in seconds, without what ``fit`` does around it."""
    clock, feed = _Clock(), arm.train.feed
    arm.model.fit(feed.x, feed.y, sample_weight=feed.sample_weight, callbacks=[clock], **_arguments(arm))
    return clock.took


def _arguments(arm: Arm) -> dict[str, Any]:
    fit = {name: value for name, value in arm.fit.items() if name not in {"epochs", "callbacks", "validation_split"}}
    return fit | {"steps_per_epoch": 1, "epochs": 1, "initial_epoch": 0, "verbose": 0}


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is not typed
    """Times the last batch."""

    def __init__(self) -> None:
        super().__init__()
        self.took = self._start = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self.took = time.perf_counter() - self._start


@contextmanager
def _untraced(model: keras.Model) -> Iterator[None]:
    """Runs the steps of a model that was never fitted eagerly."""
    before = model.run_eagerly
    model.run_eagerly = True
    try:
        with recording_trained(model):
            yield
    finally:
        model.run_eagerly, model.train_function = before, None


def _steps_taken(model: keras.Model) -> int:
    return int(model.optimizer.iterations) if model.optimizer is not None else 0


def _changed(model: keras.Model, before: Sequence[npt.NDArray[Any]]) -> dict[int, float]:
    return {
        id(variable): float(np.abs(np.array(variable, np.float64) - value).max(initial=0.0))
        for variable, value in zip(model.variables, before, strict=True)
    }


@contextmanager
def _taking_any_labels(model: keras.Model) -> Iterator[None]:
    """Puts a loss of the outputs alone in place of one that refuses its labels: what is frozen does not depend on it.

    A ``train_step`` of the user's own may compute its loss elsewhere, and then fails as before.
    """

    def loss(_x: Any = None, _y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
        # What went into a softmax, as Keras' own losses take it: one that is saturated has no gradient. Squared, since
        # batch normalisation cancels a gradient that is the same for all samples; towards 1, 2, …, since a softmax
        # cancels one that is the same for all columns.
        taken = [getattr(output, LOGITS, output) for output in keras.tree.flatten(y_pred)]
        found = [keras.ops.cast(tensor, "float32") for tensor in taken]  # a square soon is too much for half precision
        wanted = [keras.ops.arange(1, tensor.shape[-1] + 1, dtype="float32") for tensor in found]
        return sum(keras.ops.mean(keras.ops.square(a - b)) for a, b in zip(found, wanted, strict=True))

    def metrics(*_: Any, **__: Any) -> dict[str, Any]:
        return {"taken": keras.ops.ones(())}  # a step must report something

    model.train_function, model.compute_loss, model.compute_metrics = None, loss, metrics
    try:
        yield
    finally:
        del model.compute_loss, model.compute_metrics
        model.train_function = None


@contextmanager
def flags_of(model: keras.Model) -> Iterator[dict[str, bool | None]]:
    """Collects, by layer path, the ``training`` value that each layer receives; filled in on leaving."""
    values: dict[str, set[bool | None]] = defaultdict(set)
    flags: dict[str, bool | None] = {}

    def note(call: LayerCall) -> Any:
        if "training" in call.kwargs:
            value = call.kwargs["training"]
            values[call.path.partition("#")[0]].add(None if value is None else bool(value))
        return call.run(*call.args, **call.kwargs)

    with hooked(model, note):
        yield flags
    # A layer called with both values counts as running in training mode.
    flags |= {path: None if found == {None} else any(found) for path, found in values.items()}
