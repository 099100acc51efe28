"""How each split of a spec is passed to ``fit``: as arrays, as a tf.data.Dataset, or as Keras 1's generators did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf

from equivcheck.arms.arm import Feed
from equivcheck.arms.wrapping import QUEUE, WrappingBatches
from equivcheck.errors import InputError
from equivcheck.spec.model import Buffer, Training


def train_feed(x: npt.NDArray[Any], y: npt.NDArray[Any], training: Training) -> Feed:
    """The training split.

    Args:
        x: ``(n, ...)`` images or features, in the order of the source.
        y: ``(n, ...)`` labels as encoded for the loss.
        training: The arm's.

    Raises:
        InputError: Epochs of samples_per_epoch would not all have the same number of batches.
    """
    if training.samples_per_epoch is not None:
        return Feed(_wrapping(x, y, training, training.samples_per_epoch), stored=x)
    if isinstance(training.shuffle, Buffer):
        samples = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(training.shuffle.buffer, seed=training.seed)
        samples = samples.cache() if training.shuffle.cached else samples
        return Feed(samples.batch(training.batch_size), stored=x)
    return Feed(x, y)


def validation_feed(x: npt.NDArray[Any], y: npt.NDArray[Any], training: Training) -> Feed:
    """The validation split, never shuffled."""
    if training.validation_samples is None:
        return Feed(x, y)
    batches = WrappingBatches(x, y, batch_size=training.batch_size, samples=training.validation_samples, lost=QUEUE)
    return Feed(batches, stored=x)


def fit_arguments(training: Training, classes: Sequence[str]) -> Mapping[str, Any]:
    """All other arguments of ``fit``.

    Args:
        training: The arm's.
        classes: Class names in index order.

    Raises:
        InputError: A class that has a weight is not one of the classes.
    """
    ordered = training.samples_per_epoch is not None or isinstance(training.shuffle, Buffer)
    arguments: dict[str, Any] = {
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        # What brings its batches along also brings their order: fit would shuffle a PyDataset by whole batches.
        "shuffle": False if ordered else training.shuffle,
    }
    for name in ("steps_per_epoch", "validation_steps"):
        if (steps := getattr(training, name)) is not None:
            arguments[name] = steps
    if training.early_stopping is not None:
        arguments["callbacks"] = [keras.callbacks.EarlyStopping(**training.early_stopping.model_dump())]
    if training.class_weight is not None:
        if unknown := sorted(training.class_weight.keys() - set(classes)):
            raise InputError(f"{unknown[0]!r} is not one of the classes {', '.join(classes)}")
        arguments["class_weight"] = {classes.index(name): weight for name, weight in training.class_weight.items()}
    return arguments


def _wrapping(x: npt.NDArray[Any], y: npt.NDArray[Any], training: Training, samples: int) -> WrappingBatches:
    seed = training.seed if training.shuffle else None
    batches = WrappingBatches(x, y, batch_size=training.batch_size, samples=samples, seed=seed)
    start, counts = 0, set()
    for _ in range(training.epochs):
        counts.add(count := batches.batches_from(start))
        start += count
    if len(counts) > 1:
        raise InputError(
            f"epochs of {samples} samples would have {min(counts)} or {max(counts)} batches of {training.batch_size} "
            f"from {len(x)} samples, which this Keras cannot train; choose a batch size that divides {len(x)}"
        )
    return batches
