"""Trains one arm as declared and keeps its curves: compiled where that is sure to be the same, else by ``fit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.arms.said import described
from equivcheck.arms.user_code import user_code
from equivcheck.evidence import ArmEvidence
from equivcheck.measured import Curve
from equivcheck.replay.eligible import build, obstacle
from equivcheck.replay.graph import RefusedError
from equivcheck.replay.key import key_of
from equivcheck.replay.rehearse import Rehearsals, rehearse
from equivcheck.replay.store import Stored, read, write
from equivcheck.trace.memory import assign, same_memory, values_of
from equivcheck.trace.state import restored, variables_of

#: Is told how many epochs are done, and how many there will be.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Training:
    """One finished training.

    Attributes:
        curves: Loss and metrics per epoch, validation ones with the prefix ``val_``.
        weights: The trained weights of the head, or of the whole model for the frozen arm.
        how: Whether ``fit`` itself ran, or a compiled graph that gives the same.
        why: What spoke against compiling it; for a compiled training, how much of the network it ran again.
    """

    curves: tuple[Curve, ...]
    weights: tuple[npt.NDArray[np.float32], ...]
    how: Literal["fit", "compiled"] = "fit"
    why: str = ""


def train(
    arm: Arm,
    progress: Progress,
    *,
    evidence: ArmEvidence | None = None,
    rehearsals: Rehearsals | None = None,
    folder: Path | None = None,
) -> Training:
    """Trains from the arm's seed; the arm's model is trained afterwards.

    Args:
        arm: The arm.
        progress: Told of epochs done.
        evidence: What was measured on the arm, where it was.
        rehearsals: Compiled trainings of before, where this one is kept as well.
        folder: Where finished compiled trainings are kept; None for nowhere.

    Raises:
        UserCodeError: Something of the user's raised: a callback, a data set, a layer.
    """
    why = obstacle(arm)
    if why is None:
        try:
            return _compiled(arm, progress, evidence, rehearsals or Rehearsals(), folder)
        except RefusedError as refused:
            why = str(refused)
        except Exception as error:  # noqa: BLE001  (fit says it in the words that its user knows, or does not meet it)
            why = f"compiling it raised {described(error)}"
    return train_by_fit(arm, progress, why)


def _compiled(
    arm: Arm, progress: Progress, evidence: ArmEvidence | None, rehearsals: Rehearsals, folder: Path | None
) -> Training:
    build(arm)
    model, variables = arm.model, variables_of(arm.model)
    key = None if folder is None else key_of(arm, joined=rehearsals.joined, digests=rehearsals.digests)
    kept = None if folder is None or key is None else read(folder, key)
    if kept is not None and _fits(kept, variables):
        assign([variables[place] for place in kept.weights], list(kept.weights.values()))
        epochs = int(arm.fit.get("epochs", 1))
        progress(epochs, epochs)
        return _training(arm, kept.curves, kept.why)
    before = values_of(variables)
    try:
        with restored([]):  # of what is not the model's: the generator that all share
            done = rehearse(arm, progress, evidence=evidence, rehearsals=rehearsals)
    except BaseException:  # whatever stops it, fit must find the arm as it was
        assign(variables, before)
        raise
    model.optimizer.finalize_variable_values(model.trainable_weights)
    if folder is not None and key is not None:
        values = enumerate(zip(before, values_of(variables), strict=True))
        moved = {place: value.numpy() for place, (old, value) in values if not same_memory(old, value)}
        write(folder, key, Stored(done.curves, moved, done.why))
    return _training(arm, done.curves, done.why)


def _fits(kept: Stored, variables: Sequence[keras.Variable]) -> bool:
    """Whether what was stored are values of these variables."""
    return all(
        place < len(variables) and weight.shape == tuple(variables[place].shape)
        for place, weight in kept.weights.items()
    )


def _training(arm: Arm, values: Mapping[str, tuple[float, ...]], why: str) -> Training:
    curves = tuple(Curve(arm.name, metric_of(name), column) for name, column in values.items())
    return Training(curves, _weights(arm.model), "compiled", why)


def train_by_fit(arm: Arm, progress: Progress, why: str = "") -> Training:
    """Runs ``fit`` from the arm's seed; the arm's model is trained afterwards.

    Args:
        arm: The arm.
        progress: Told after every epoch.
        why: Why it is not compiled.

    Raises:
        UserCodeError: Something of the user's raised: a callback, a data set, a layer.
    """
    epochs = int(arm.fit.get("epochs", 1))
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _logs: progress(epoch + 1, epochs))
    callbacks = [*arm.fit.get("callbacks", ()), report]
    feed = arm.train.feed.anew()
    keras.utils.set_random_seed(arm.seed)
    with user_code(arm.made_by, f"fit of the {arm.name} arm"):
        history = arm.model.fit(
            feed.x,
            feed.y,
            sample_weight=feed.sample_weight,
            validation_data=arm.validation.feed.anew().as_tuple() if arm.validation is not None else None,
            **{"verbose": 0, **arm.fit, "callbacks": callbacks},
        )
    curves = tuple(
        Curve(arm.name, metric_of(name), tuple(float(value) for value in values))
        for name, values in history.history.items()
    )
    return Training(curves, _weights(arm.model), "fit", why)


def metric_of(name: str) -> str:
    """Keras names an accuracy after how it was resolved when it was given as an object; a curve is an accuracy."""
    prefix = "val_" if name.startswith("val_") else ""
    short = name.removeprefix("val_")
    return prefix + (
        "accuracy"
        if short in {"acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy"}
        else short
    )


def _weights(model: keras.Model) -> tuple[npt.NDArray[np.float32], ...]:
    return tuple(np.array(weight) for weight in model.trainable_variables)
