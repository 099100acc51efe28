"""Keras 1's generators: an epoch was a number of samples, and a generator that had fewer wrapped around.

Read in keras 1.2.2 (``engine/training.py``, ``preprocessing/image.py``): ``fit_generator`` takes batches until it has
seen ``samples_per_epoch``, and the next epoch goes on there. Each ``evaluate_generator`` starts a queue of its own on
the same generator, takes batches until it has seen ``nb_val_samples``, and throws away what the queue then holds: the
next evaluation starts that many batches further on.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

#: ``max_q_size``: the queue is full whenever the model is slower than the generator.
QUEUE = 10


class WrappingBatches(keras.utils.PyDataset):
    """Batches as such a generator gave them, epoch by epoch.

    Args:
        x: ``(n, ...)`` samples.
        y: ``(n, ...)`` labels.
        batch_size: Samples per batch; the last of a pass is smaller where it does not divide n.
        samples: Samples that an epoch asks for.
        seed: Shuffles by this seed; None leaves the order.
        lost: Batches that are thrown away behind each epoch.
    """

    def __init__(
        self,
        x: npt.NDArray[Any],
        y: npt.NDArray[Any],
        *,
        batch_size: int,
        samples: int,
        seed: int | None = None,
        lost: int = 0,
    ) -> None:
        super().__init__()
        self.x, self.y, self.size, self.samples, self.seed, self.lost = x, y, batch_size, samples, seed, lost
        self.start, self.running = 0, False

    def anew(self) -> WrappingBatches:
        """The same generator, as it stands before its first batch."""
        return WrappingBatches(
            self.x, self.y, batch_size=self.size, samples=self.samples, seed=self.seed, lost=self.lost
        )

    def epochs(self, count: int) -> list[list[npt.NDArray[np.int64]]]:
        """Row numbers of each batch of each epoch, from the generator's first batch on."""
        start, found = 0, []
        for _ in range(count):
            batches = self.batches_from(start)
            found.append([self._rows(start + index) for index in range(batches)])
            start += batches + self.lost
        return found

    def __len__(self) -> int:
        """Batches of the epoch that comes next or runs."""
        return self.batches_from(self.start)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        rows = self._rows(self.start + index)
        return self.x[rows], self.y[rows]

    def on_epoch_begin(self) -> None:
        """Keras ends epochs that it never began when it resets."""
        self.running = True

    def on_epoch_end(self) -> None:
        """The next epoch goes on where the queue was thrown away."""
        if self.running:
            self.start += len(self) + self.lost
        self.running = False

    def batches_from(self, start: int) -> int:
        """Batches that make an epoch which starts with this one, counted from the generator's first."""
        return _batches(len(self.x), self.size, self.samples, start % self._pass)

    @property
    def _pass(self) -> int:
        """Batches of one pass through the rows."""
        return -(-len(self.x) // self.size)

    def _rows(self, batch: int) -> npt.NDArray[np.int64]:
        number, place = divmod(batch, self._pass)
        # A new order was drawn where the last batch of a pass was a smaller one; where the batch size divides the
        # samples, the iterator never came back to its first batch, and one order was repeated for ever.
        drawn = number if len(self.x) % self.size else 0
        order = _order(len(self.x), self.seed, drawn)
        return order[place * self.size : (place + 1) * self.size]


@lru_cache(maxsize=1024)
def _batches(rows: int, size: int, samples: int, place: int) -> int:
    """Batches that make an epoch of so many samples which starts with this one of a pass."""
    seen = batches = 0
    while seen < samples:
        first = (place + batches) % -(-rows // size) * size
        seen += min(size, rows - first)
        batches += 1
    return batches


@lru_cache(maxsize=64)
def _order(rows: int, seed: int | None, drawn: int) -> npt.NDArray[np.int64]:
    """One pass through the rows; asked for batch by batch."""
    order = np.arange(rows) if seed is None else np.random.default_rng([seed, drawn]).permutation(rows)
    order.flags.writeable = False
    return order
