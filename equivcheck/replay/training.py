"""Trains one arm as declared, by ``fit`` itself, and keeps its curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.arms.user_code import user_code
from equivcheck.measured import Curve

#: Is told how many epochs are done, and how many there will be.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Training:
    """One finished training.

    Attributes:
        curves: Loss and metrics per epoch, validation ones with the prefix ``val_``.
        weights: The trained weights of the head, or of the whole model for the frozen arm.
    """

    curves: tuple[Curve, ...]
    weights: tuple[npt.NDArray[np.float32], ...]


def train(arm: Arm, progress: Progress) -> Training:
    """Runs ``fit`` from the arm's seed; the arm's model is trained afterwards.

    Args:
        arm: The arm.
        progress: Told after every epoch.

    Raises:
        UserCodeError: Something of the user's raised: a callback, a data set, a layer.
    """
    epochs = int(arm.fit.get("epochs", 1))
    report = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _logs: progress(epoch + 1, epochs))
    callbacks = [*arm.fit.get("callbacks", ()), report]
    feed = arm.train.feed
    keras.utils.set_random_seed(arm.seed)
    with user_code(arm.made_by, f"fit of the {arm.name} arm"):
        history = arm.model.fit(
            feed.x,
            feed.y,
            sample_weight=feed.sample_weight,
            validation_data=arm.validation.feed.as_tuple() if arm.validation is not None else None,
            **{"verbose": 0, **arm.fit, "callbacks": callbacks},
        )
    curves = tuple(
        Curve(arm.name, _metric(name), tuple(float(value) for value in values))
        for name, values in history.history.items()
    )
    return Training(curves, tuple(np.array(weight) for weight in arm.model.trainable_variables))


def _metric(name: str) -> str:
    """Keras names an accuracy after how it was resolved when it was given as an object; a curve is an accuracy."""
    prefix = "val_" if name.startswith("val_") else ""
    short = name.removeprefix("val_")
    return prefix + (
        "accuracy"
        if short in {"acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy"}
        else short
    )
