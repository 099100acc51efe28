"""What the steps of a training are fed where its network is cut: features in the place of images."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.replay.compiled import Tables
from equivcheck.replay.course import Course, Values, begun, course_of, evaluated
from equivcheck.replay.features import Prefix
from equivcheck.replay.graph import RefusedError

_Table = tuple[tf.Tensor, ...]


@dataclass(frozen=True, slots=True)
class Supply:
    """What the steps are fed, known by its shapes and computed when it is asked for.

    Attributes:
        images: What the whole network is fed; epoch by epoch where something before the frontier moves that matters.
        prefix: The network up to its frontier; None where everything is run in every step.
        calm: The same for evaluation.
        moving: The variables before the frontier that move in training.
        follows: Whether evaluation depends on them.
    """

    images: Tables
    prefix: Prefix | None
    calm: Prefix | None
    moving: tuple[Any, ...]
    follows: bool

    @property
    def outline(self) -> Tables:
        """The tables, with no more than the shapes of what has to be computed."""
        tables = self.images
        if self.prefix is not None:
            train, order = _outlined(self.prefix, tables.train, tables.order)
            tables = replace(tables, train=train, order=order)
        if self.calm is None or tables.validation is None:
            return tables
        validation, places = _outlined(self.calm, tables.validation, _evaluated(tables))
        return replace(tables, validation=validation, validation_order=self._places(places))

    def tables(self, start: Values, told: Callable[[int, int], None]) -> tuple[Tables, Course | None]:
        """The tables, and what moves before the frontier; on any thread.

        Args:
            start: What the model's variables hold.
            told: Told of epochs, where the network is run through all of them.
        """
        tables, course = self.images, None
        if self.prefix is not None:
            x, size = tables.train[0], tables.batch_size
            if self.moving:
                course = course_of(self.prefix, x, tables.order, batch_size=size, start=start, told=told)
                features = course.features
            else:
                features = self.prefix.features(x, tables.order, batch_size=size, training=True)
            train, order = _reordered(features, tables.train, tables.order)
            tables = replace(tables, train=train, order=order)
        if self.calm is None or tables.validation is None:
            return tables, course
        x, taken, size = tables.validation[0], _evaluated(tables), tables.validation_batch_size
        if course is not None and self.follows:
            features = evaluated(self.calm, course, x, taken, batch_size=size)
        else:
            features = self.calm.features(x, taken, batch_size=size, training=False)
        validation, places = _reordered(features, tables.validation, taken)
        return replace(tables, validation=validation, validation_order=self._places(places)), course

    def shared(self, start: Values) -> Hashable:
        """What decides the tables of training; None where nothing has to be computed."""
        if self.prefix is None:
            return None
        return self.prefix.name, self.images.order.tobytes(), begun(self.moving, start)

    def _places(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
        """An order where there was one: all rows as they stand need none."""
        return None if self.images.validation_order is None else places


def supply(prefix: Prefix | None, calm: Prefix | None, tables: Tables, epochs: int) -> Supply:
    """Traces all that will be run.

    Args:
        prefix: The network up to where the steps of training start; None where that is its input.
        calm: The same for evaluation.
        tables: What the whole network is fed.
        epochs: How many there are.

    Raises:
        RefusedError: The features cannot be sure to be what ``fit`` computes.
    """
    moving: tuple[Any, ...] = ()
    if prefix is not None:
        size, taken = tables.batch_size, tables.order.shape[1]
        moving = prefix.trace(tables.train[0], taken, batch_size=size, training=True).moves
    read: set[int] = set()
    if calm is not None and tables.validation is not None:
        size, taken = tables.validation_batch_size, _evaluated(tables).shape[1]
        traced = calm.trace(tables.validation[0], taken, batch_size=size, training=False)
        if traced.moves:
            raise RefusedError("evaluating it moves what lies before its frontier")
        read = set(map(id, traced.worked_on))
    follows = any(id(variable) in read for variable in moving)
    images = epoch_by_epoch(tables, epochs, follows=follows) if moving else tables
    return Supply(images, prefix, calm, moving, follows)


def epoch_by_epoch(tables: Tables, epochs: int, *, follows: bool) -> Tables:
    """The same tables with a pass of its own for each epoch.

    Args:
        tables: The tables.
        epochs: How many there are.
        follows: Whether evaluation has one as well.
    """
    each = replace(tables, order=_each(tables.order, epochs))
    if tables.validation is None or not follows:
        return each
    return replace(each, validation_order=_each(_evaluated(tables), epochs))


def _evaluated(tables: Tables) -> npt.NDArray[np.int64]:
    """``(passes, rows)`` the rows of each evaluation, where there is one."""
    assert tables.validation is not None
    taken = tables.validation_order
    return np.arange(len(tables.validation[0]))[None] if taken is None else taken


def _each(order: npt.NDArray[np.int64], epochs: int) -> npt.NDArray[np.int64]:
    return order[np.arange(epochs) % len(order)]


def _outlined(prefix: Prefix, table: _Table, order: npt.NDArray[np.int64]) -> tuple[Any, npt.NDArray[np.int64]]:
    parts = [(prefix.found.shape, prefix.found.feature.dtype), *((part.shape[1:], part.dtype) for part in table[1:])]
    return tuple(tf.TensorSpec((order.size, *shape), dtype) for shape, dtype in parts), _in_order(order)


def _reordered(
    features: tf.Tensor, table: _Table, order: npt.NDArray[np.int64]
) -> tuple[_Table, npt.NDArray[np.int64]]:
    """Features that stand in an order, with all else of their table in it, and where each row is now."""
    taken = order.reshape(-1)
    return (features, *(tf.gather(part, taken) for part in table[1:])), _in_order(order)


def _in_order(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.arange(order.size).reshape(order.shape)
