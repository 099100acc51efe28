"""How moving statistics follow the batches of a whole training, where each batch is run once.

A BatchNormalization that normalises by the batch gives the same whatever its moving statistics hold, and these move by
``moving * momentum + batch * (1 - momentum)``. So a batch that comes again, in another epoch or in another order, need
not be run again: from statistics of zero it leaves the second addend in them, rounded as it always is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.arms.legacy import LegacyBatchNormalization
from equivcheck.replay.features import Prefix, Traced, bytes_of, handles_of
from equivcheck.trace.memory import assign, values_of

#: Numbers closer to zero, which some threads of TensorFlow go on to round to zero and others do not, are not followed.
_SMALLEST = 1e-30

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batches:
    """What each of some batches gives at the frontier, and adds to the statistics.

    Attributes:
        features: ``(rows, ...)``, one batch behind the other.
        added: ``(batches, numbers)`` of all variables, one behind the other.
    """

    features: tf.Tensor
    added: _Floats

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return bytes_of(self.features) + self.added.nbytes


@dataclass(frozen=True, slots=True)
class Drift:
    """All epochs of a training, up to where its network is cut.

    Attributes:
        features: ``(epochs * taken, ...)`` what it gives, one epoch behind the other.
        held: What the variables that move hold behind each epoch.
    """

    features: tf.Tensor
    held: tuple[tuple[tf.Tensor, ...], ...]


def drift_of(
    prefix: Prefix,
    traced: Traced,
    x: tf.Tensor,
    order: npt.NDArray[np.int64],
    *,
    batch_size: int,
    start: Sequence[tf.Tensor],
) -> Drift | None:
    """Works out all epochs.

    Args:
        prefix: The network up to its frontier.
        traced: The same as a graph, as it is trained.
        x: ``(rows, ...)`` as the model is fed.
        order: ``(epochs, taken)`` row numbers in the order of each epoch.
        batch_size: Rows a step.
        start: What the variables that move hold before the first one.

    Returns:
        None where anything but such statistics moves, or too few batches come again. Whether a network obeys the
        formula is for who calls to see, in its first epoch: a layer that is called twice does not.
    """
    momenta = _momenta(prefix.model, traced.moves)
    if momenta is None or any(value.dtype != tf.float32 for value in start):
        return None
    batches = [epoch[first : first + batch_size] for epoch in order for first in range(0, len(epoch), batch_size)]
    each = {rows.tobytes(): rows for rows in batches}
    if len(each) + len(batches) // len(order) >= len(batches):  # the first epoch is run in any case
        return None
    each = dict(sorted(each.items()))  # so that every order of the same batches finds them
    key = (prefix.name, "batches"), len(x), batch_size, *each
    known: Batches = prefix.kept.get(key, lambda: _run(prefix, traced, x, list(each.values()), batch_size, start))
    number = {rows: place for place, rows in enumerate(each)}
    place = np.array([number[rows.tobytes()] for rows in batches]).reshape(len(order), -1)
    held = _followed(place, known.added, start, momenta)
    if held is None:
        return None
    first = np.cumsum([0, *map(len, each.values())])
    taken = np.concatenate([np.arange(first[one], first[one + 1]) for one in place.reshape(-1)])
    return Drift(tf.gather(known.features, taken), held)


def _momenta(model: keras.Model, moving: Sequence[Any]) -> list[float] | None:
    """The momentum of each variable; None where one is no moving statistic."""
    known = {
        id(variable): float(layer.momentum)
        for layer in model._flatten_layers()  # noqa: SLF001  (no public list)
        if type(layer) in {keras.layers.BatchNormalization, LegacyBatchNormalization} and layer.built
        for variable in (layer.moving_mean, layer.moving_variance)
    }
    found = [known[id(variable)] for variable in moving if id(variable) in known]
    return found if len(found) == len(moving) else None


def _run(
    prefix: Prefix,
    traced: Traced,
    x: tf.Tensor,
    each: Sequence[npt.NDArray[np.int64]],
    batch_size: int,
    start: Sequence[tf.Tensor],
) -> Batches:
    """Each batch, from statistics of zero."""
    zeros = [tf.zeros_like(value) for value in start]
    features: list[tf.Tensor] = []
    added = []
    with prefix.spare.variables(zeros) as own:
        handles = handles_of(traced.moves, own)
        for rows in each:
            assign(own, zeros)
            features += traced(x, rows, batch_size, handles)
            added.append(_joined(values_of(own)))
    return Batches(tf.concat(features, 0), np.stack(added))


def _followed(
    place: npt.NDArray[np.int64], added: _Floats, start: Sequence[tf.Tensor], momenta: Sequence[float]
) -> tuple[tuple[tf.Tensor, ...], ...] | None:
    """What the statistics hold behind each epoch; None where a number is too small to be sure of.

    Args:
        place: ``(epochs, batches)`` which batch comes when.
        added: As in ``Batches``.
        start: What they hold before.
        momenta: Of each variable.
    """
    moving = _joined(start)
    rates = np.concatenate(
        [np.full(int(tf.size(value)), rate, np.float32) for value, rate in zip(start, momenta, strict=True)]
    )
    ends = np.cumsum([int(tf.size(value)) for value in start])[:-1]
    if _has_tiny(added):
        return None
    behind = []
    for epoch in place:
        for batch in epoch:
            moving *= rates
            if _has_tiny(moving):
                return None
            moving += added[batch]
        behind.append(moving.copy())
    if _has_tiny(moving):
        return None
    parts = zip(np.split(np.stack(behind), ends, axis=1), start, strict=True)
    # One tensor a variable, taken apart: a tensor for each number of few would take most of the time.
    held = (tf.unstack(tf.constant(part.reshape(len(place), *value.shape))) for part, value in parts)
    return tuple(zip(*held, strict=True))


def _has_tiny(numbers: _Floats) -> bool:
    return bool(((numbers < _SMALLEST) & (numbers > -_SMALLEST) & (numbers != 0)).any())


def _joined(values: Sequence[tf.Tensor]) -> _Floats:
    return np.concatenate([value.numpy().reshape(-1) for value in values])
