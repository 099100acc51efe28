"""What a network gives at its frontier, batch by batch as ``fit`` composes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.replay.frontier import Frontier
from equivcheck.replay.graph import captured, refuse_unrepeatable, writes
from equivcheck.trace.hooks import LayerCall, hooked
from equivcheck.trace.state import undisturbed, variables_of

#: Tables kept for each split: that of the stored order, which comes again with every seed, and that of one seed.
_KEPT = 2


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
        found: Its frontier, or the same one of another model that is equal up to there.
        traced: By batch size, where that is fixed, and mode.
        tables: What was computed, by everything that decides it, and the rows in its order.
    """

    model: keras.Model
    found: Frontier
    traced: dict[tuple[int | None, bool], Callable[[tf.Tensor], tf.Tensor]] = field(default_factory=dict)
    tables: dict[tuple[object, ...], tuple[tf.Tensor, npt.NDArray[Any]]] = field(default_factory=dict)

    def features(self, x: tf.Tensor, order: npt.NDArray[Any], *, batch_size: int, training: bool) -> tf.Tensor:
        """The stored table, position by position of all passes.

        Args:
            x: ``(rows, ...)`` as the model is fed; the same at every call with the same number of rows.
            order: ``(passes, taken)`` row numbers in the order of each pass.
            batch_size: Rows a step: batch statistics and even the kernels depend on it.
            training: As ``train_step`` runs the network, or as ``test_step``.

        Returns:
            ``(passes * taken, ...)`` in that order.

        Raises:
            RefusedError: What lies before the frontier cannot be sure to be the same in every epoch.
        """
        rows = order.reshape(-1)
        even = order.shape[1] % batch_size == 0
        group = len(x), batch_size, even, training
        key = *group, order.shape, rows.tobytes()
        if key in self.tables:
            self.tables[key] = self.tables.pop(key)  # now the last that was asked for
            return self.tables[key][0]
        function = self._function(x, batch_size if even else None, training=training)
        alike = [known for known in self.tables if known[: len(group)] == group]
        with undisturbed(self.model) if writes(function) else nullcontext():

            def compute(batch: npt.NDArray[Any]) -> tf.Tensor:
                return function(tf.gather(x, batch))

            table = _rearranged(*self.tables[alike[-1]], rows, batch_size, compute) if alike else None
            if table is None:
                starts = range(0, order.shape[1], batch_size)
                batches = [taken[start : start + batch_size] for taken in order for start in starts]
                table = tf.concat([compute(batch) for batch in batches], 0)
        for old in alike[: len(alike) + 1 - _KEPT]:
            del self.tables[old]
        self.tables[key] = table, rows
        return table

    def _function(self, x: tf.Tensor, size: int | None, *, training: bool) -> Callable[[tf.Tensor], tf.Tensor]:
        """The network up to the frontier as a graph, for batches of one size or of any, as in ``compiled.Tables``."""
        if (size, training) not in self.traced:
            # Not a partial, to whose signature TensorFlow cannot bind a call without first failing to, and saying so.
            def forward(batch: tf.Tensor) -> tf.Tensor:
                return _reach(self.model, self.found, batch, training=training)

            spec = tf.TensorSpec((size, *x.shape[1:]), x.dtype)
            function = tf.function(forward, autograph=False).get_concrete_function(spec)
            refuse_unrepeatable(function)
            captured(function, variables_of(self.model))
            self.traced[size, training] = function
        return self.traced[size, training]


def _rearranged(
    table: tf.Tensor,
    known: npt.NDArray[Any],
    rows: npt.NDArray[Any],
    batch_size: int,
    compute: Callable[[npt.NDArray[Any]], tf.Tensor],
) -> tf.Tensor | None:
    """A table in another order, where a sample gives the same whatever its batch holds.

    Whether it does is tried on batches that bring together what came from several batches: the first, the last, and
    one in between, for some processors round only a few samples by their place in a batch.

    Args:
        table: ``(rows, ...)`` what was computed.
        known: ``(rows,)`` row numbers in its order.
        rows: ``(taken,)`` row numbers in the order that is asked for.
        batch_size: Rows a batch.
        compute: What the network gives for a batch of row numbers.

    Returns:
        None where it does not, where no batch could tell, where a row is not in the table, or where one batch is
        smaller and so may run other kernels.
    """
    if len(rows) % batch_size or len(known) % batch_size:
        return None
    place = np.full(max(known.max(), rows.max()) + 1, -1)
    place[known] = np.arange(len(known))
    taken = place[rows]
    if (taken < 0).any():
        return None
    batches = (taken // batch_size).reshape(-1, batch_size)
    # Batches of one hold no mates at all.
    mixed = np.flatnonzero((batches != batches[:, :1]).any(axis=1)) if batch_size > 1 else np.arange(len(rows))
    if not len(mixed):
        return None
    tried = (0, len(mixed) // 2, -1) if batch_size > 1 else (0,)  # a batch of one has one place only
    for start in sorted({int(mixed[place]) * batch_size for place in tried}):
        batch = slice(start, start + batch_size)
        again, stored = compute(rows[batch]), tf.gather(table, taken[batch])
        if not np.array_equal(again.numpy(), stored.numpy(), equal_nan=True):
            return None
    return tf.gather(table, taken)


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
