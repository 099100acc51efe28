"""Trains one arm as declared and keeps its curves: compiled where that is sure to be the same, else by ``fit``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.arms.arm import Arm
from equivcheck.arms.said import described
from equivcheck.arms.user_code import user_code
from equivcheck.evidence import ArmEvidence
from equivcheck.measured import Curve
from equivcheck.replay.compiled import Tables
from equivcheck.replay.course import Values
from equivcheck.replay.eligible import build, obstacle
from equivcheck.replay.graph import RefusedError
from equivcheck.replay.key import key_of
from equivcheck.replay.rehearse import Ready, Rehearsals, Rehearsed, held_by, prepare
from equivcheck.replay.store import Stored, read, write
from equivcheck.replay.tables import tables_of
from equivcheck.replay.workers import Checkpoint
from equivcheck.trace.memory import assign, same_memory, values_of
from equivcheck.trace.state import restored, undisturbed, variables_of

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


def begin(
    arm: Arm,
    progress: Progress,
    *,
    evidence: ArmEvidence | None,
    rehearsals: Rehearsals,
    folder: Path | None,
) -> Callable[[], tuple[Curve, ...]]:
    """Begins a training of which only the curves are asked; the arm's model is as it was when this returns.

    Args:
        arm: As for ``train``.
        progress: As for ``train``; may be told by another thread.
        evidence: As for ``train``.
        rehearsals: As for ``train``; a light one runs beside others, on its workers.
        folder: As for ``train``.

    Returns:
        Waits for the curves.

    Raises:
        UserCodeError: As for ``train``.
    """
    if obstacle(arm) is None:
        with suppress(Exception):  # train finds it again, and says it
            found = keyed(arm, rehearsals, folder)
            kept = _kept(arm, found.key, folder)
            if kept is not None:
                known = curves_of(arm, kept.curves)
                return lambda: known
            ready = prepare(
                arm,
                evidence=evidence,
                rehearsals=rehearsals,
                tables=found.tables,
                held=found.held,
                told=progress,
            )
            if ready.aside:
                return _aside(arm, ready, progress, found, rehearsals, folder)
            with undisturbed(arm.model):
                compiled = _here(arm, ready, progress, found.key, folder).curves
            return lambda: compiled
    with undisturbed(arm.model):
        curves = train(arm, progress, evidence=evidence, rehearsals=rehearsals, folder=folder).curves
    return lambda: curves


def runs_aside(arm: Arm, *, evidence: ArmEvidence | None, rehearsals: Rehearsals, wholly: bool = False) -> bool:
    """Whether ``begin`` lets the training of an arm run beside others.

    Args:
        arm: The arm.
        evidence: As for ``train``.
        rehearsals: As for ``train``.
        wholly: And runs nothing of its network before that.
    """
    if obstacle(arm) is not None:
        return False
    build(arm)
    try:
        return prepare(arm, evidence=evidence, rehearsals=rehearsals, runs_first=not wholly).aside
    except Exception:  # noqa: BLE001  (the training itself meets it again, and says it)
        return False


def _aside(
    arm: Arm, ready: Ready, progress: Progress, found: Keyed, rehearsals: Rehearsals, folder: Path | None
) -> Callable[[], tuple[Curve, ...]]:
    """Begins a training on variables of its own."""
    start = found.held
    places = {each: place for place, each in enumerate(start)}

    def run(check: Checkpoint) -> tuple[Curve, ...]:
        done = ready.run_aside(checked(progress, check), start)
        _keep(folder, found.key, done, {places[each]: value for each, value in done.left.items()})
        return curves_of(arm, done.curves)

    return rehearsals.workers.submit(run, like=ready.shares(start)).result


def checked(progress: Progress, check: Checkpoint) -> Progress:
    """Progress that ends a training which nobody waits for any more."""

    def told(done: int, total: int) -> None:
        check()
        progress(done, total)

    return told


def _compiled(
    arm: Arm, progress: Progress, evidence: ArmEvidence | None, rehearsals: Rehearsals, folder: Path | None
) -> Training:
    found = keyed(arm, rehearsals, folder)
    kept = _kept(arm, found.key, folder)
    if kept is None:
        ready = prepare(
            arm, evidence=evidence, rehearsals=rehearsals, tables=found.tables, held=found.held, told=progress
        )
        return _here(arm, ready, progress, found.key, folder)
    variables = variables_of(arm.model)
    assign([variables[place] for place in kept.weights], list(kept.weights.values()))
    epochs = int(arm.fit.get("epochs", 1))
    progress(epochs, epochs)
    return _training(arm, kept.curves, kept.why)


def _here(arm: Arm, ready: Ready, progress: Progress, key: str | None, folder: Path | None) -> Training:
    """Trains the arm's own model."""
    model, variables = arm.model, variables_of(arm.model)
    before = values_of(variables)
    try:
        with restored([]):  # of what is not the model's: the generator that all share
            done = ready.run(progress)
    except BaseException:  # whatever stops it, fit must find the arm as it was
        assign(variables, before)
        raise
    model.optimizer.finalize_variable_values(model.trainable_weights)
    after = enumerate(zip(before, values_of(variables), strict=True))
    _keep(folder, key, done, {place: new for place, (old, new) in after if not same_memory(old, new)})
    return _training(arm, done.curves, done.why)


def _kept(arm: Arm, key: str | None, folder: Path | None) -> Stored | None:
    """What came of a training that was finished before."""
    kept = None if folder is None or key is None else read(folder, key)
    return kept if kept is not None and _fits(kept, variables_of(arm.model)) else None


@dataclass(frozen=True, slots=True)
class Keyed:
    """An arm before its training.

    Attributes:
        tables: What it is fed.
        held: What its model's variables hold.
        key: What decides the outcome; None where it is not kept.
    """

    tables: Tables
    held: Values
    key: str | None


def keyed(arm: Arm, rehearsals: Rehearsals, folder: Path | None) -> Keyed:
    """What decides the outcome of the arm's training.

    The arm is built then, and the random generators are as at the start of ``fit``.
    """
    build(arm)
    tables, held = tables_of(arm), held_by(arm.model)
    key = None
    if folder is not None:
        key = key_of(arm, joined=rehearsals.joined, digests=rehearsals.cuts.digests, tables=tables, held=held)
    return Keyed(tables, held, key)


def _keep(folder: Path | None, key: str | None, done: Rehearsed, left: Mapping[int, tf.Tensor]) -> None:
    """Keeps a training where that is asked, with what it left in those variables that it moved, by place."""
    if folder is not None and key is not None:
        write(folder, key, Stored(done.curves, {place: value.numpy() for place, value in left.items()}, done.why))


def _fits(kept: Stored, variables: Sequence[keras.Variable]) -> bool:
    """Whether what was stored are values of these variables."""
    return all(
        place < len(variables) and weight.shape == tuple(variables[place].shape)
        for place, weight in kept.weights.items()
    )


def _training(arm: Arm, values: Mapping[str, tuple[float, ...]], why: str) -> Training:
    return Training(curves_of(arm, values), _weights(arm.model), "compiled", why)


def curves_of(arm: Arm, values: Mapping[str, tuple[float, ...]]) -> tuple[Curve, ...]:
    """What a compiled training gave, as curves of the arm."""
    return tuple(Curve(arm.name, metric_of(name), column) for name, column in values.items())


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
