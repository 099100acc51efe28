"""Variables to work on in the place of a model's, so that several trainings of it can run beside one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from equivcheck.trace.memory import assign


class Spare:
    """Variables that serve one after the other: making them takes as long as a short training."""

    def __init__(self) -> None:
        self._free: dict[tuple[Any, ...], list[list[tf.Variable]]] = {}

    @contextmanager
    def variables(self, values: Sequence[tf.Tensor]) -> Iterator[list[tf.Variable]]:
        """Variables that hold these values, for whoever asks and nobody else until that is left; on any thread."""
        free = self._free.setdefault(tuple((value.dtype, *value.shape) for value in values), [])
        try:
            mine = free.pop()
        except IndexError:  # not asked for before: other threads take from it as well
            mine = [tf.Variable(value) for value in values]
        assign(mine, values)
        try:
            yield mine
        finally:
            free.append(mine)
