"""What a network gives at its frontier, batch by batch as ``fit`` composes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy.typing as npt
import tensorflow as tf

from equivcheck.replay.frontier import Frontier
from equivcheck.replay.graph import captured, refuse_unrepeatable
from equivcheck.trace.hooks import LayerCall, hooked
from equivcheck.trace.state import undisturbed, variables_of


class _ReachedError(BaseException):
    """Leaves the model at the frontier; not an ``Exception``, which Keras would dress up on the way."""

    def __init__(self, feature: tf.Tensor) -> None:
        super().__init__()
        self.feature = feature


@dataclass(frozen=True, slots=True)
class Prefix:
    """A network up to its frontier, traced once for each way in which it is run.

    Attributes:
        model: The model.
        found: Its frontier.
        traced: By batch size, where that is fixed, and mode.
        tables: What was computed, by everything that decides it.
    """

    model: keras.Model
    found: Frontier
    traced: dict[tuple[int | None, bool], Callable[[tf.Tensor], tf.Tensor]] = field(default_factory=dict)
    tables: dict[tuple[object, ...], tf.Tensor] = field(default_factory=dict)

    def features(self, x: tf.Tensor, order: npt.NDArray[Any] | None, *, batch_size: int, training: bool) -> tf.Tensor:
        """The stored table, position by position of an epoch.

        Args:
            x: ``(rows, ...)`` as the model is fed; the same at every call with the same number of rows.
            order: ``(rows,)`` row numbers in the order of every epoch; None for the order of the table.
            batch_size: Rows a step: batch statistics and even the kernels depend on it.
            training: As ``train_step`` runs the network, or as ``test_step``.

        Returns:
            ``(rows, ...)`` in that order.

        Raises:
            RefusedError: What lies before the frontier cannot be sure to be the same in every epoch.
        """
        key = (len(x), None if order is None else order.tobytes(), batch_size, training)
        if key not in self.tables:
            function = self._function(x, batch_size if len(x) % batch_size == 0 else None, training=training)
            rows = tf.range(len(x)) if order is None else tf.constant(order)
            starts = range(0, len(x), batch_size)
            with undisturbed(self.model):
                parts = [function(tf.gather(x, rows[start : start + batch_size])) for start in starts]
            if training:  # the order of another seed is another table, and that of the last one is not asked for again
                self.tables.pop(next((known for known in self.tables if known[-1]), key), None)
            self.tables[key] = tf.concat(parts, 0)
        return self.tables[key]

    def _function(self, x: tf.Tensor, size: int | None, *, training: bool) -> Callable[[tf.Tensor], tf.Tensor]:
        """The network up to the frontier as a graph, for batches of one size or of any, as in ``compiled.Tables``."""
        if (size, training) not in self.traced:
            forward = partial(_reach, self.model, self.found, training=training)
            spec = tf.TensorSpec((size, *x.shape[1:]), x.dtype)
            function = tf.function(forward, autograph=False).get_concrete_function(spec)
            refuse_unrepeatable(function)
            captured(function, variables_of(self.model))
            self.traced[size, training] = function
        return self.traced[size, training]


def _reach(model: keras.Model, found: Frontier, batch: tf.Tensor, *, training: bool) -> tf.Tensor:
    def reach(call: LayerCall) -> Any:
        outputs = call.run(*call.args, **call.kwargs)
        if call.path == found.path:
            raise _ReachedError(outputs)
        return outputs

    try:
        with hooked(model, reach):
            model(batch, training=training) if model._call_has_training_arg else model(batch)  # noqa: SLF001
    except _ReachedError as reached:
        feature: tf.Tensor = reached.feature
        return feature
    raise AssertionError(found.path)
