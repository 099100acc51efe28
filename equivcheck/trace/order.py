"""Which samples a real iterator yields: ``fit`` itself pulls them, into a model that only takes notes."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.arms.seeding import set_seeds
from equivcheck.arms.user_code import user_code

#: Arguments of ``fit`` that decide what the iterators yield; the others are about training.
_ORDERING = frozenset(
    {"batch_size", "shuffle", "steps_per_epoch", "class_weight", "validation_batch_size", "validation_steps"}
)
PASSES = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch as ``fit`` handed it on.

    Attributes:
        marks: A fingerprint of each sample's ``x``.
        labels: ``y`` as yielded.
        x: The samples themselves; None where they lie in memory anyway.
        dtype: Their type as yielded: Keras casts float64 arrays to its own float type.
        weights: ``(n,)`` sample weights as ``train_step`` gets them, class weights among them; None where there are
            none.
    """

    marks: tuple[bytes, ...]
    labels: npt.NDArray[Any]
    x: npt.NDArray[Any] | None
    dtype: np.dtype[Any]
    weights: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What ``fit`` pulled, epoch by epoch.

    Attributes:
        train: The training batches of each epoch.
        validation: The validation batches of the evaluation behind each epoch; empty where there is no such data.
    """

    train: tuple[tuple[Batch, ...], ...]
    validation: tuple[tuple[Batch, ...], ...]


class _Notebook(keras.Model):
    """Writes down what it is fed and learns nothing."""

    def __init__(self, arm: Arm) -> None:
        super().__init__()
        self.kept = tuple(split is not None and not split.feed.arrays for split in (arm.train, arm.validation))
        self.pages: tuple[list[Batch], list[Batch]] = ([], [])
        self.reading = "training"
        self.built = True

    def train_step(self, data: Any) -> dict[str, Any]:
        return self._note(data, 0)

    def test_step(self, data: Any) -> dict[str, Any]:
        return self._note(data, 1)

    def _note(self, data: Any, page: int) -> dict[str, Any]:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        rows = keras.ops.convert_to_numpy(keras.tree.flatten(x)[0])
        labels = keras.ops.convert_to_numpy(keras.tree.flatten(y)[0]) if y is not None else np.zeros(len(rows))
        told = None if weights is None else _per_sample(keras.tree.flatten(weights)[0])
        kept = rows if self.kept[page] else None
        self.pages[page].append(Batch(fingerprints(rows), labels, kept, rows.dtype, told))
        return {"loss": keras.ops.zeros(())}

    def get_metrics_result(self) -> dict[str, Any]:
        """Asked for when the training data of an epoch has ended; what is read from then on is for validation."""
        self.reading = "validation"
        return dict(super().get_metrics_result())

    def call(self, inputs: Any) -> Any:
        return inputs


def _per_sample(weights: Any) -> npt.NDArray[np.float64]:
    """One weight a sample; those of several outputs of one sample are averaged."""
    given = np.asarray(keras.ops.convert_to_numpy(weights), np.float64)
    averaged: npt.NDArray[np.float64] = given.reshape(len(given), -1).mean(axis=1)
    return averaged


def fingerprints(rows: Iterable[npt.NDArray[Any]]) -> tuple[bytes, ...]:
    """One digest per row of its bytes."""
    return tuple(hashlib.blake2b(np.ascontiguousarray(row).tobytes(), digest_size=16).digest() for row in rows)


def record(arm: Arm, *, passes: int = PASSES) -> Recorded:
    """Lets ``fit`` pull two epochs of an arm's data, with an evaluation behind each, as the real training would.

    Both splits are pulled by one ``fit``, because they may share an iterator, and Keras keeps the validation iterator
    from one epoch to the next.

    Args:
        arm: The arm.
        passes: Epochs to pull.

    Raises:
        UserCodeError: A generator or data set of the user's raised.
    """
    notebook = _Notebook(arm)
    # No loss: nothing is computed. Eager: the batches arrive as values.
    notebook.compile(optimizer=None, run_eagerly=True)
    pages: tuple[list[tuple[Batch, ...]], ...] = ([], [])

    def turn_page(_epoch: int, _logs: Any) -> None:
        for found, page in zip(pages, notebook.pages, strict=True):
            found.append(tuple(page))
            page.clear()
        notebook.reading = "training"

    feed, validation = arm.train.feed, arm.validation
    set_seeds(arm.seed, made_by=arm.made_by)
    try:
        with warnings.catch_warnings():
            # Keras warns of an ignored shuffle and of exhausted data; what came out is what is judged.
            warnings.simplefilter("ignore")
            notebook.fit(
                feed.x,
                feed.y,
                sample_weight=feed.sample_weight,
                validation_data=None if validation is None else validation.feed.as_tuple(),
                epochs=passes,
                verbose=0,
                callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=turn_page)],
                **{name: value for name, value in arm.fit.items() if name in _ORDERING},
            )
    except (Exception, SystemExit):
        with user_code(arm.made_by, f"reading the {notebook.reading} data of the {arm.name} arm"):
            raise
    train, evaluations = map(tuple, pages)
    return Recorded(train, evaluations if validation is not None else ())


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
