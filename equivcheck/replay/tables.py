"""What ``fit`` makes of arrays, all rows at once: types as it casts them, class weights as it spreads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter  # what fit makes of arrays
from keras.src.trainers.data_adapters.array_slicing import convert_to_sliceable  # and how it casts them

from equivcheck.arms.arm import Arm, Feed
from equivcheck.replay.compiled import Tables
from equivcheck.replay.order import epoch_orders

#: Keras' own where neither ``fit`` nor its data say.
_BATCH_SIZE = 32


def tables_of(arm: Arm) -> Tables:
    """An arm's data as tables; the random generators are then as at the start of ``fit``."""
    fit = arm.fit
    batch_size = int(fit.get("batch_size") or _BATCH_SIZE)
    rows = len(arm.train.feed.x)
    return Tables(
        train=_whole(arm.train.feed, fit.get("class_weight")),
        order=epoch_orders(
            rows,
            batch_size=batch_size,
            shuffle=fit.get("shuffle", True),
            epochs=int(fit.get("epochs", 1)),
            seed=arm.seed,
        ),
        batch_size=batch_size,
        validation=None if arm.validation is None else _whole(arm.validation.feed),
        validation_batch_size=int(fit.get("validation_batch_size") or batch_size),
    )


def _whole(feed: Feed, class_weight: Any = None) -> tuple[tf.Tensor, ...]:
    adapter = ArrayDataAdapter(
        feed.x, feed.y, feed.sample_weight, batch_size=len(np.asarray(feed.x)), class_weight=class_weight
    )
    # All rows at once, without the data set that would hand them on batch by batch.
    parts = convert_to_sliceable(adapter._inputs, target_backend="tensorflow")  # noqa: SLF001
    return tuple(map(tf.convert_to_tensor, parts))
