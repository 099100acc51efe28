"""Which samples a real iterator yields: ``fit`` itself pulls them, into a model that only takes notes."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Feed

#: Arguments of ``fit`` that decide what the iterator yields; the others are about training.
_ORDERING = frozenset({"batch_size", "shuffle", "steps_per_epoch", "class_weight"})
PASSES = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as ``fit`` handed it on.

    Attributes:
        marks: A fingerprint of each sample's ``x``.
        labels: ``y`` as yielded.
        x: The samples themselves; None where they lie in memory anyway.
        dtype: Their type as yielded: Keras casts float64 arrays to its own float type.
    """

    marks: tuple[bytes, ...]
    labels: npt.NDArray[Any]
    x: npt.NDArray[Any] | None
    dtype: np.dtype[Any]


class _Notebook(keras.Model):
    """Writes down what it is fed and learns nothing."""

    def __init__(self, *, keep: bool) -> None:
        super().__init__()
        self.batches: list[Batch] = []
        self.keep = keep
        self.built = True

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        rows = keras.ops.convert_to_numpy(keras.tree.flatten(x)[0])
        labels = keras.ops.convert_to_numpy(keras.tree.flatten(y)[0]) if y is not None else np.zeros(len(rows))
        self.batches.append(Batch(fingerprints(rows), labels, rows if self.keep else None, rows.dtype))
        return {"loss": keras.ops.zeros(())}

    def call(self, inputs: Any) -> Any:
        return inputs


def fingerprints(rows: npt.NDArray[Any]) -> tuple[bytes, ...]:
    """One digest per row of its bytes."""
    return tuple(hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest() for row in rows)


def record(
    feed: Feed, fit: Mapping[str, Any], *, seed: int, validation: bool = False, passes: int = PASSES
) -> tuple[tuple[Batch, ...], ...]:
    """Lets ``fit`` pull two epochs.

    Args:
        feed: The split.
        fit: The arm's arguments of ``fit``.
        seed: Set right before, as before the real training.
        validation: Pull as ``fit`` pulls validation data: one pass, never shuffled.
        passes: Epochs to pull of training data.

    Returns:
        The batches of each pass.
    """
    notebook = _Notebook(keep=not feed.arrays)
    # No loss: nothing is computed. Eager: the batches arrive as values.
    notebook.compile(optimizer=None, run_eagerly=True)
    arguments = {name: value for name, value in fit.items() if name in _ORDERING}
    if validation:
        arguments = {"batch_size": fit.get("validation_batch_size") or fit.get("batch_size"), "shuffle": False}
        if fit.get("validation_steps"):
            arguments["steps_per_epoch"] = fit["validation_steps"]
    pages: list[tuple[Batch, ...]] = []

    def turn_page(_epoch: int, _logs: Any) -> None:
        pages.append(tuple(notebook.batches))
        notebook.batches.clear()

    keras.utils.set_random_seed(seed)
    with warnings.catch_warnings():
        # Keras warns of an ignored shuffle and of exhausted data; what came out is what is judged.
        warnings.simplefilter("ignore")
        notebook.fit(
            feed.x,
            feed.y,
            sample_weight=feed.sample_weight,
            epochs=1 if validation else passes,
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=turn_page)],
            **arguments,
        )
    return tuple(pages)


def number_samples(known: npt.NDArray[Any] | None, passes: Sequence[Sequence[Batch]]) -> list[npt.NDArray[np.int64]]:
    """Sample numbers from fingerprints.

    Args:
        known: The split's rows, ``(n, ...)``, where it lies in memory; else numbers are given as samples first appear.
        passes: Batches of each pass.

    Returns:
        Per pass the row numbers in order of arrival, -1 for what is not among the known. Equal rows are told apart by
        taking their numbers in turn.
    """
    numbers: dict[bytes, list[int]] = defaultdict(list)
    if known is not None:
        yielded = passes[0][0].dtype if passes and passes[0] else known.dtype
        for row, mark in enumerate(fingerprints(known.astype(yielded, copy=False))):
            numbers[mark].append(row)
    found = []
    for batches in passes:
        uses: dict[bytes, int] = defaultdict(int)
        order = []
        for mark in (mark for batch in batches for mark in batch.marks):
            if known is None and mark not in numbers:
                numbers[mark] = [len(numbers)]
            rows = numbers.get(mark)
            order.append(rows[uses[mark] % len(rows)] if rows else -1)
            uses[mark] += 1
        found.append(np.array(order, np.int64))
    return found
