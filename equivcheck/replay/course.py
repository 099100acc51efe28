"""What a network gives at its frontier in every epoch, where variables before it move as it is trained.

The statistics of frozen BatchNormalization followed the batches before Keras 2.1.3, and the generator of a random layer
moves with every draw. What both come to depends on the order of the samples alone: not on the head, the labels, the
loss or the optimizer. So the network is run through once, epoch by epoch, for all trainings that take the samples in
one order; and where only statistics move and batches come again, through one epoch, from which the others follow
(``drift``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.replay.drift import Drift, drift_of
from equivcheck.replay.features import Prefix, bytes_of, handles_of
from equivcheck.trace.arrays import array_of
from equivcheck.trace.memory import assign, hold_the_same, values_of

#: What variables hold, by the ``id`` of each.
Values = Mapping[int, tf.Tensor]


@dataclass(frozen=True, slots=True)
class Course:
    """All epochs of a network up to its frontier.

    Attributes:
        key: All that decides it.
        features: ``(epochs * taken, ...)`` what it gives in training, one epoch behind the other.
        variables: Those that moved.
        held: What they held behind each epoch.
    """

    key: tuple[Any, ...]
    features: tf.Tensor
    variables: tuple[Any, ...]
    held: tuple[tuple[tf.Tensor, ...], ...]

    def behind(self, epochs: int) -> list[tuple[Any, tf.Tensor]]:
        """The variables that moved, each with what it holds behind so many epochs."""
        return list(zip(self.variables, self.held[epochs - 1], strict=True))

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        return bytes_of(self.features) + sum(bytes_of(value) for values in self.held for value in values)


def course_of(
    prefix: Prefix,
    x: tf.Tensor,
    order: npt.NDArray[np.int64],
    *,
    batch_size: int,
    start: Values,
    told: Callable[[int, int], None],
) -> Course:
    """Runs a network through all epochs of its training, or takes what came of it before; no variable of it moves.

    Args:
        prefix: The network up to its frontier, traced.
        x: ``(rows, ...)`` as the model is fed; the same at every call with the same number of rows.
        order: ``(epochs, taken)`` row numbers in the order of each epoch.
        batch_size: Rows a step.
        start: What the variables that move hold before the first one.
        told: Told of epochs done.
    """
    traced = prefix.trace(x, order.shape[1], batch_size=batch_size, training=True)
    key = (prefix.name, "course"), len(x), batch_size, order.shape, order.tobytes(), begun(traced.moves, start)

    def run() -> Course:
        begins = [start[id(variable)] for variable in traced.moves]
        worked_out = drift_of(prefix, traced, x, order, batch_size=batch_size, start=begins)
        features: list[tf.Tensor] = []
        held: list[tuple[tf.Tensor, ...]] = []
        with prefix.spare.variables(begins) as own:
            handles = handles_of(traced.moves, own)
            for epoch, taken in enumerate(order):
                features += traced(x, taken, batch_size, handles)
                held.append(tuple(values_of(own)))
                if worked_out is not None and epoch == 0 and _begins_with(worked_out, tf.concat(features, 0), held[0]):
                    told(len(order), len(order))
                    return Course(key, worked_out.features, traced.moves, worked_out.held)
                told(epoch + 1, len(order))
        return Course(key, tf.concat(features, 0), traced.moves, tuple(held))

    course: Course = prefix.kept.get(key, run)
    return replace(course, variables=traced.moves)  # those of this network, if it was run for another like it


def _begins_with(worked_out: Drift, features: tf.Tensor, held: Sequence[tf.Tensor]) -> bool:
    """Whether the first epoch is to the last bit what was worked out of it."""
    return hold_the_same((worked_out.features[: len(features)], *worked_out.held[0]), (features, *held))


def begun(moving: Sequence[Any], start: Values) -> tuple[bytes, ...]:
    """What the variables that move hold before the first epoch."""
    return tuple(array_of(start[id(variable)]).tobytes() for variable in moving)


def evaluated(
    prefix: Prefix, course: Course, x: tf.Tensor, order: npt.NDArray[np.int64], *, batch_size: int
) -> tf.Tensor:
    """What the network gives in the evaluation behind each epoch.

    Args:
        prefix: The network up to its frontier, traced.
        course: Its training.
        x: ``(rows, ...)`` as the model is fed; the same at every call with the same number of rows.
        order: ``(epochs, taken)`` row numbers in the order of each evaluation.
        batch_size: Rows a step.

    Returns:
        ``(epochs * taken, ...)``, one epoch behind the other.
    """
    if batch_size == 1:  # a sample gives the same wherever it stands, so that all orders have one table
        rows = np.broadcast_to(np.arange(len(x)), (len(order), len(x)))
        table = _evaluated(prefix, course, x, rows, batch_size)
        return tf.gather(table, (order + len(x) * np.arange(len(order))[:, None]).reshape(-1))
    return _evaluated(prefix, course, x, order, batch_size)


def _evaluated(
    prefix: Prefix, course: Course, x: tf.Tensor, order: npt.NDArray[np.int64], batch_size: int
) -> tf.Tensor:
    traced = prefix.trace(x, order.shape[1], batch_size=batch_size, training=False)

    def run() -> tf.Tensor:
        features: list[tf.Tensor] = []
        with prefix.spare.variables(course.held[0]) as own:
            handles = handles_of(course.variables, own)
            for held, taken in zip(course.held, order, strict=True):
                assign(own, held)
                features += traced(x, taken, batch_size, handles)
        return tf.concat(features, 0)

    table: tf.Tensor = prefix.kept.get((course.key, len(x), batch_size, order.shape, order.tobytes()), run)
    return table
