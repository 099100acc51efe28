"""The same arm built twice: whether the second is the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.evidence import RepeatTrace
from equivcheck.trace.behaviour import is_seed
from equivcheck.trace.observed import Observed
from equivcheck.trace.order import fingerprints, record


def repeat_of_networks(first: keras.Model, second: keras.Model) -> RepeatTrace:
    """Two networks that one function returned, called twice after the same seed was set."""
    return _repeat([first], [second], other_data=False)


def repeat_of_arms(observed: Observed, again: Arm) -> RepeatTrace | None:
    """An arm that was measured, and the same built again.

    Nothing is trained. The first epoch of an iterator is read once more, since only a new one starts where the first
    started.

    Returns:
        None where the function returns the same models again: then nothing was built twice.
    """
    arm = observed.arm
    if {id(variable) for variable in arm.model.variables} & {id(variable) for variable in again.model.variables}:
        return None
    found = _repeat(arm.network, again.network, other_data=_other_data(observed, again))
    return replace(found, rescaled=tuple(name for name in arm.rescaled if name in again.rescaled))


def _repeat(first: Sequence[keras.Model], second: Sequence[keras.Model], *, other_data: bool) -> RepeatTrace:
    ours, theirs = (
        [variable for variable in chain(*(model.variables for model in models)) if not is_seed(variable)]
        for models in (first, second)
    )
    if len(ours) != len(theirs):
        # A subclassed model has no weights before its first batch, and the measured arm has seen one.
        ours, theirs = [], []
    other = tuple(a.path for a, b in zip(ours, theirs, strict=True) if not _equal(np.array(a), np.array(b)))
    return RepeatTrace(len(ours), other, other_data)


def _other_data(observed: Observed, again: Arm) -> bool:
    feed, other = observed.arm.train.feed, again.train.feed
    if feed.arrays != other.arrays:
        return True
    if feed.arrays:
        return not (_equal(np.asarray(feed.x), np.asarray(other.x)) and _equal(np.asarray(feed.y), np.asarray(other.y)))
    batches = record(replace(again, validation=None), passes=1).train[0]
    walk = observed.train
    came = tuple(chain(*(batch.marks for batch in batches)))
    labels = np.concatenate([batch.labels for batch in batches])
    return came != fingerprints(walk.x[walk.order.samples[0]]) or not _equal(labels, walk.y)


def _equal(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> bool:
    return first.shape == second.shape and bool(np.array_equal(first, second, equal_nan=first.dtype.kind in "fc"))
