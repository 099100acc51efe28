"""In which order ``fit`` goes through arrays: Keras' own adapter, asked for row numbers."""

from __future__ import annotations

from functools import cache
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter  # what fit makes of arrays

from equivcheck.arms.seeding import set_seeds

#: Passes that are looked at: each is made afresh from the same seeds, so where the second repeats the first, all do.
_PROOF = 2


def epoch_orders(samples: int, *, batch_size: int, shuffle: Any, epochs: int, seed: int) -> npt.NDArray[np.int64]:
    """Row numbers as ``fit`` takes them, and every generator as ``fit`` would find it.

    Args:
        samples: Rows of the arrays.
        batch_size: As in ``fit``.
        shuffle: As in ``fit``.
        epochs: How many.
        seed: Set right before, as before the real training.

    Returns:
        ``(epochs, samples)``; or ``(1, samples)`` where every epoch repeats the first.
    """
    # What is not shuffled is drawn from no seed, so one drawing serves all seeds.
    orders = _drawn(samples, batch_size, shuffle, epochs, 0 if shuffle is False else seed)
    set_seeds(seed)
    return orders


@cache
def _drawn(samples: int, batch_size: int, shuffle: Any, epochs: int, seed: int) -> npt.NDArray[np.int64]:
    set_seeds(seed)
    rows = np.arange(samples, dtype=np.int64)
    # The way of making the data set decides the draws, and batching it again does not; each pass is a new iterator.
    whole = ArrayDataAdapter(rows, batch_size=batch_size, shuffle=shuffle).get_tf_dataset().rebatch(samples)
    passes = (next(iter(whole)).numpy() for _ in range(epochs))
    orders = np.stack([*islice(passes, _PROOF)])
    orders = np.stack([*orders, *passes]) if (orders != orders[0]).any() else orders[:1]
    orders.setflags(write=False)  # it is handed out again
    return orders
