"""How long ``fit`` trains and how fast: its optimizer and callbacks are asked, before anything is trained."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, SimpleNamespace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.evidence import TrainingTrace

#: Epochs that callbacks are run for at most: more patience than this is no early stopping.
HORIZON = 200
#: Steps of an epoch that callbacks are told of at most.
_STEPS = 4
#: What of the model a callback must touch to end the training or to change how fast it goes.
_DECISIVE = frozenset({"stop_training", "learning_rate", "_learning_rate", "lr"})


def trace_training(arm: Arm, steps: int) -> TrainingTrace | None:
    """Runs copies of the callbacks that matter against invented curves; no model is trained.

    Args:
        arm: The arm.
        steps: Steps of one epoch.

    Returns:
        None for a model without an optimizer.
    """
    optimizer = getattr(arm.model, "optimizer", None)
    if optimizer is None:
        return None
    first = int(arm.fit.get("initial_epoch") or 0)
    epochs = max(0, int(arm.fit.get("epochs", 1)) - first)
    deciding = [callback for callback in _callbacks(arm.fit) if _decides(callback)]
    names = _log_names(arm)
    stops, rates, stalled = None, None, None
    try:
        ways = {"nothing improves": names, **{f"{name} stalls": [name] for name in names}, "everything improves": []}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a curve that is not there; then nothing stops, which is the answer
            runs = {
                way: _run(arm, deciding, names, stalling, first, min(epochs, HORIZON), max(1, steps))
                for way, stalling in ways.items()
                if deciding or not stalling
            }
        stops = {way: done for way, (done, _) in runs.items() if done < min(epochs, HORIZON)}
        rates = runs["everything improves"][1]
        stalled = runs["nothing improves"][1] if deciding else rates
    except Exception:  # noqa: BLE001, S110  (a callback that needs a real model; then nothing is known of it)
        pass
    return TrainingTrace(
        epochs=epochs,
        stops=stops,
        rates=rates,
        rates_stalled=stalled,
        iterations=int(optimizer.iterations),
        callbacks=tuple(type(callback).__name__ for callback in deciding),
    )


def _callbacks(fit: Mapping[str, Any]) -> Sequence[Any]:
    given = fit.get("callbacks") or ()
    if isinstance(given, keras.callbacks.CallbackList):
        return list(given.callbacks)
    return list(given) if isinstance(given, list | tuple) else [given]


def _decides(callback: Any) -> bool:
    """Whether it is one that ends the training or changes the rate; others may write files and are left alone."""
    own = (
        keras.callbacks.EarlyStopping,
        keras.callbacks.LearningRateScheduler,
        keras.callbacks.ReduceLROnPlateau,
    )
    if isinstance(callback, own):
        return True
    functions = [value for value in vars(callback).values() if callable(value)]  # a LambdaCallback's
    for kind in type(callback).__mro__:
        if not kind.__module__.startswith("keras."):
            functions += [value for value in vars(kind).values() if callable(value)]
    return any(
        _DECISIVE & {*code.co_names, *code.co_consts}
        for function in functions
        if isinstance(outer := getattr(function, "__code__", None), CodeType)
        for code in _codes(outer)
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _log_names(arm: Arm) -> list[str]:
    """What ``fit`` reports after an epoch."""
    try:
        reported = list(arm.model.get_metrics_result()) if arm.model.built else []
    except ValueError:  # a loss that refused its labels has left the metrics without their variables
        reported = []
    names = [name for name in dict.fromkeys(["loss", *reported]) if name != "compile_metrics"]
    return [*names, *(f"val_{name}" for name in names)] if arm.validation is not None else names


def _run(
    arm: Arm,
    callbacks: Sequence[Any],
    names: Sequence[str],
    stalling: Sequence[str],
    first: int,
    epochs: int,
    steps: int,
) -> tuple[int, npt.NDArray[np.float64]]:
    """Epochs until a callback ends the training, and the learning rate in the first and last step of each."""
    optimizer = _stand_in(arm.model.optimizer)
    scheduled = isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule)  # noqa: SLF001
    if not callbacks and not scheduled:
        return epochs, np.full(2 * epochs, float(optimizer.learning_rate))
    begun = int(optimizer.iterations)
    model = SimpleNamespace(
        optimizer=optimizer, stop_training=False, metrics=arm.model.metrics, get_weights=list, set_weights=list
    )
    copies = [_readied(callback, model, first + epochs, steps) for callback in callbacks]
    rates: list[float] = []
    for epoch in range(epochs):
        logs = {name: _value(name, (epoch + 1) / epochs, stalls=name in stalling) for name in names}
        _tell(copies, "on_epoch_begin", first + epoch, {})
        for step in sorted({*range(min(steps, _STEPS)), steps - 1}):
            if scheduled or step == 0:
                optimizer.iterations.assign(begun + epoch * steps + step)
            _tell(copies, "on_train_batch_begin", step, {})
            if step in {0, steps - 1}:
                rates += [float(optimizer.learning_rate)] * (2 if steps == 1 else 1)
            _tell(copies, "on_train_batch_end", step, logs)
        _tell(copies, "on_epoch_end", first + epoch, logs)
        if model.stop_training:
            return epoch + 1, np.array(rates)
    return epochs, np.array(rates)


def _readied(callback: Any, model: Any, epochs: int, steps: int) -> Any:
    """A copy that has been told what ``fit`` tells a callback before the first epoch."""
    made = copy.deepcopy(callback)
    made._model = model  # noqa: SLF001  (what set_model sets)
    made.set_params({"epochs": epochs, "steps": steps, "verbose": 0})
    if hasattr(made, "verbose"):
        made.verbose = 0
    made.on_train_begin({})
    return made


def _tell(callbacks: Sequence[Any], event: str, number: int, logs: Mapping[str, float]) -> None:
    for each in callbacks:
        getattr(each, event)(number, dict(logs))


def _stand_in(optimizer: Any) -> keras.optimizers.Optimizer:
    """Another optimizer at the same step and learning rate, whose rate may be changed."""
    rule = getattr(optimizer, "inner_optimizer", optimizer)
    own = rule._learning_rate  # noqa: SLF001  (the property gives a schedule's present value)
    schedule = isinstance(own, keras.optimizers.schedules.LearningRateSchedule)
    made = keras.optimizers.SGD(own if schedule else float(rule.learning_rate), name="stand_in")
    made.iterations.assign(int(rule.iterations))
    return made


def _value(name: str, done: float, *, stalls: bool) -> float:
    """Losses fall from 1 to 0 and all else rises, unless it stalls at its start."""
    if stalls:
        return 1.0 if _falls(name) else 0.0
    return 1.0 - done if _falls(name) else done


def _falls(name: str) -> bool:
    return any(word in name for word in ("loss", "error", "entropy"))
