"""What a network gives at its frontier, batch by batch as ``fit`` composes them."""

from __future__ import annotations

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


def features_of(
    model: keras.Model,
    found: Frontier,
    x: tf.Tensor,
    order: npt.NDArray[Any] | None,
    *,
    batch_size: int,
    training: bool,
) -> tf.Tensor:
    """The stored table, position by position of an epoch.

    Args:
        model: The model, which is left as it was.
        found: Its frontier.
        x: ``(rows, ...)`` as the model is fed.
        order: ``(rows,)`` row numbers in the order of every epoch; None for the order of the table.
        batch_size: Rows a step: batch statistics and even the kernels depend on it.
        training: As ``train_step`` runs the network, or as ``test_step``.

    Returns:
        ``(rows, ...)`` in that order.

    Raises:
        RefusedError: What lies before the frontier cannot be sure to be the same in every epoch.
    """
    size = batch_size if len(x) % batch_size == 0 else None  # as in fit, see compiled.Tables

    def forward(batch: tf.Tensor) -> tf.Tensor:
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

    function = tf.function(forward, autograph=False).get_concrete_function(tf.TensorSpec((size, *x.shape[1:]), x.dtype))
    refuse_unrepeatable(function)
    captured(function, variables_of(model))
    rows = tf.range(len(x)) if order is None else tf.constant(order)
    with undisturbed(model):
        parts = [function(tf.gather(x, rows[start : start + batch_size])) for start in range(0, len(x), batch_size)]
    table: tf.Tensor = tf.concat(parts, 0)
    return table
