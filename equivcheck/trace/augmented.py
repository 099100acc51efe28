"""Matches samples that one arm augments, or reads at another size, with those of the other arm."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.diff.views import assign, in_order
from equivcheck.evidence import OrderTrace

#: Up to this share of an epoch samples may simply be others, an arm's own; beyond, their pictures were changed.
OTHERS = 0.2


def match_changed(
    reference: npt.NDArray[Any],
    ours: OrderTrace,
    other: npt.NDArray[Any],
    theirs: OrderTrace,
    rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64] | None:
    """For each row of ``other`` its row in ``reference``, also where the picture was mirrored, turned or resized.

    Arrays are taken to hold the same samples row by row if the pictures agree. An iterator that augments gives new
    rows in every epoch; each is a view of a sample. In which order the samples come is first guessed (as in the other
    arm, as stored, as in the epoch before) and the guess proved by the pictures; only then are they searched one by
    one.

    Args:
        reference: ``(n, height, width, channels)`` of the bottleneck arm.
        ours: Its order.
        other: ``(m, height', width', channels)`` of the frozen arm.
        theirs: Its order.
        rows: What matches already, -1 for what does not.

    Returns:
        The rows; as they were where few are missing or none can be told; None where an epoch shows other pictures
        than the one before and it cannot be told of which samples.
    """
    if any((samples < 0).any() for samples in theirs.samples) or (rows >= 0).all():
        return rows
    augments = len(np.unique(np.concatenate(theirs.samples))) > len(theirs.samples[0])
    if augments:
        return _epoch_by_epoch(reference, ours, other, theirs, rows)
    if (rows >= 0).mean() >= 1 - OTHERS:
        return rows
    stored = np.arange(len(reference))
    missing = np.flatnonzero(rows < 0)
    if len(other) == len(reference) and _agrees(stored, rows):
        labels = _labels(theirs, len(other))
        if in_order(reference[missing], other[missing], labels[missing]):
            return stored
    return rows


def _epoch_by_epoch(
    reference: npt.NDArray[Any],
    ours: OrderTrace,
    other: npt.NDArray[Any],
    theirs: OrderTrace,
    rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64] | None:
    found, label_of = rows.copy(), _labels(ours, len(reference))
    before: npt.NDArray[np.int64] | None = None
    for epoch, samples in enumerate(theirs.samples):
        missing = found[samples] < 0
        if missing.any():
            labels = theirs.labels[epoch]
            guesses = [ours.samples[min(epoch, len(ours.samples) - 1)], np.arange(len(reference)), before]
            fitting = (
                guess
                for guess in guesses
                if guess is not None
                and _agrees(guess, found[samples])
                # Few that are missing among many at their place need no proof, and cannot give one.
                and (
                    missing.mean() <= 0.5  # noqa: PLR2004
                    or in_order(reference[guess[missing]], other[samples[missing]], labels[missing])
                )
            )
            guess = next(fitting, None)
            if guess is None:
                free = np.setdiff1d(np.arange(len(reference)), found[samples[~missing]])
                told = assign(reference[free], other[samples[missing]], label_of[free], labels[missing])
                if told is None and missing.mean() > OTHERS:
                    return None
                if told is None:
                    before = found[samples]
                    continue
                found[samples[missing]] = np.where(told >= 0, free[told], -1)
            else:
                found[samples] = guess
        before = found[samples]
    return found


def _labels(order: OrderTrace, count: int) -> npt.NDArray[np.int64]:
    """``(count,)``: the class index of each row, -1 of one that never came."""
    labels = np.full(count, -1, np.int64)
    for samples, given in zip(order.samples, order.labels, strict=True):
        labels[samples[samples >= 0]] = given[samples >= 0]
    return labels


def _agrees(guess: npt.NDArray[np.int64], known: npt.NDArray[np.int64]) -> bool:
    """Whether a guessed order is that of the samples that are known."""
    if len(guess) != len(known) or (guess < 0).any():
        return False
    told = known >= 0
    # Some are told wrongly: a picture may match another exactly once it is mirrored.
    return bool(not told.any() or (guess[told] == known[told]).mean() >= 0.9)  # noqa: PLR2004
