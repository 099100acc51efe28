"""What ``fit`` makes of arrays and of Keras 1's generators, all rows at once: cast, and class weights spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter  # what fit makes of arrays
from keras.src.trainers.data_adapters.array_slicing import convert_to_sliceable  # and how it casts them
from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights  # and of batches

from equivcheck.arms.arm import Arm, Feed
from equivcheck.arms.seeding import set_seeds
from equivcheck.arms.wrapping import WrappingBatches
from equivcheck.replay.compiled import Tables
from equivcheck.replay.order import epoch_orders

#: Keras' own where neither ``fit`` nor its data say.
_BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class _Fed:
    """What one split feeds to fit.

    Attributes:
        table: All rows of each part.
        order: ``(passes, rows)`` row numbers, epoch by epoch; None for all rows as they stand.
        batch_size: Rows a step.
    """

    table: tuple[tf.Tensor, ...]
    order: npt.NDArray[np.int64] | None
    batch_size: int


def tables_of(arm: Arm) -> Tables:
    """An arm's data as tables; the random generators are then as at the start of ``fit``."""
    fit = arm.fit
    batch_size = int(fit.get("batch_size") or _BATCH_SIZE)
    epochs = int(fit.get("epochs", 1))
    train = _fed(arm.train.feed, batch_size, epochs, fit.get("class_weight"))
    order, shuffle = train.order, fit.get("shuffle", True)
    if order is None:
        order = epoch_orders(len(train.table[0]), batch_size=batch_size, shuffle=shuffle, epochs=epochs, seed=arm.seed)
    else:
        set_seeds(arm.seed)  # a generator has its own order, and fit draws none
    validation = None
    if arm.validation is not None:
        validation = _fed(arm.validation.feed, int(fit.get("validation_batch_size") or batch_size), epochs)
    return Tables(
        train=train.table,
        order=order,
        batch_size=train.batch_size,
        validation=None if validation is None else validation.table,
        validation_order=None if validation is None else validation.order,
        validation_batch_size=batch_size if validation is None else validation.batch_size,
    )


def _fed(feed: Feed, batch_size: int, epochs: int, class_weight: Any = None) -> _Fed:
    if isinstance(feed.x, WrappingBatches):
        taken = feed.x.epochs(epochs)
        return _Fed(_as_yielded(feed.x, class_weight), _repeating(taken), len(taken[0][0]))
    return _Fed(_whole(feed, class_weight), None, batch_size)


def _repeating(epochs: Sequence[Sequence[npt.NDArray[np.int64]]]) -> npt.NDArray[np.int64]:
    """The epochs one after the other, as far as they are not the first ones again."""
    rows = np.stack([np.concatenate(epoch) for epoch in epochs])
    repeated = (np.arange(len(rows)) % period for period in range(1, len(rows)))
    return next((rows[: again.max() + 1] for again in repeated if np.array_equal(rows, rows[again])), rows)


def _as_yielded(batches: WrappingBatches, class_weight: Any) -> tuple[tf.Tensor, ...]:
    """All rows as a generator hands them on: nothing is cast."""
    weights = () if class_weight is None else (class_weight_to_sample_weights(batches.y, class_weight),)
    return tuple(map(tf.convert_to_tensor, (batches.x, batches.y, *weights)))


def _whole(feed: Feed, class_weight: Any = None) -> tuple[tf.Tensor, ...]:
    adapter = ArrayDataAdapter(
        feed.x, feed.y, feed.sample_weight, batch_size=len(np.asarray(feed.x)), class_weight=class_weight
    )
    # All rows at once, without the data set that would hand them on batch by batch.
    parts = convert_to_sliceable(adapter._inputs, target_backend="tensorflow")  # noqa: SLF001
    return tuple(map(tf.convert_to_tensor, parts))
