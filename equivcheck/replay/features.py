"""What a network gives at its frontier, batch by batch as ``fit`` composes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.replay.frontier import Frontier
from equivcheck.replay.graph import captured, refuse_unrepeatable, touched
from equivcheck.replay.memo import Memo
from equivcheck.replay.patience import portions
from equivcheck.replay.spare import Spare
from equivcheck.trace.hooks import LayerCall, hooked
from equivcheck.trace.memory import raw
from equivcheck.trace.state import variables_of


class _ReachedError(BaseException):
    """Leaves the model at the frontier; not an ``Exception``, which Keras would dress up on the way."""

    def __init__(self, feature: tf.Tensor) -> None:
        super().__init__()
        self.feature = feature


@dataclass(frozen=True, slots=True)
class Traced:
    """A network up to its frontier as a graph, for batches of one size or of any, in one mode.

    Attributes:
        concrete: From all rows, those that are taken and the size of a batch, to features.
        worked_on: For each tensor that it takes from outside, the variable whose handle that is; None for others.
        moves: The variables that it does more to than read.
    """

    concrete: Any
    worked_on: tuple[Any, ...]
    moves: tuple[Any, ...]

    def of(self, variables: Sequence[Any], others: Sequence[Any]) -> Traced:
        """The same graph for a network like it.

        Args:
            variables: Of the network that was traced.
            others: Of the other one, in the same order.
        """
        theirs: dict[int, Any] = {id(one): other for one, other in zip(variables, others, strict=True)}
        return Traced(
            self.concrete,
            tuple(theirs.get(id(variable)) for variable in self.worked_on),
            tuple(theirs[id(variable)] for variable in self.moves),
        )

    def __call__(
        self,
        x: tf.Tensor,
        taken: npt.NDArray[np.int64],
        batch_size: int,
        handles: Mapping[int, tf.Tensor] | None = None,
    ) -> Iterator[tf.Tensor]:
        """Features of the rows that are taken, in some parts.

        Args:
            x: ``(rows, ...)`` as the model is fed.
            taken: ``(taken,)`` row numbers.
            batch_size: Rows a batch.
            handles: Of variables to work on in the place of the model's, by the ``id`` of each of those.
        """
        mine = handles or {}
        worked_on = [
            given if variable is None else mine[id(variable)] if id(variable) in mine else raw(variable).handle
            for variable, given in zip(self.worked_on, self.concrete.captured_inputs, strict=True)
        ]
        size = tf.constant(batch_size)
        for first, count in portions(-(-len(taken) // batch_size)):
            part = tf.constant(taken[first * batch_size : (first + count) * batch_size])
            # That a graph may work on other variables of the same types has no public name.
            yield self.concrete._call_flat([x, part, size], worked_on)  # noqa: SLF001


#: Graphs, by the batch size, where that is fixed; with the variables of the network that was traced.
Graphs = dict[int | None, tuple[Traced, tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What a network has in common with others that do the same up to a frontier.

    Attributes:
        variables: All that it holds up to there, in an order that all have.
        graphs: Of any of them.
    """

    variables: tuple[Any, ...]
    graphs: Graphs = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prefix:
    """A network up to its frontier, traced once for each way in which it is run.

    Attributes:
        model: The model.
        found: Its frontier, or the same one of another model that is equal up to there.
        shared: With networks like this one, by whether it runs as ``train_step`` does.
        kept: What was computed with this network and with others, by everything that decides it.
        spare: Variables to work on in the place of those that move.
        traced: By batch size, where that is fixed, and mode.
        name: Stands for the network in what is kept.
    """

    model: keras.Model
    found: Frontier
    shared: Mapping[bool, Shared]
    kept: Memo[Any]
    spare: Spare = field(default_factory=Spare)
    traced: dict[tuple[int | None, bool], Traced] = field(default_factory=dict)
    name: object = field(default_factory=object)

    def trace(self, x: tf.Tensor, taken: int, *, batch_size: int, training: bool) -> Traced:
        """The network as a graph; not beside anything else that runs its layers, which it hooks.

        Args:
            x: ``(rows, ...)`` as the model is fed.
            taken: Rows that a pass takes.
            batch_size: Rows a step: batch statistics and even the kernels depend on it.
            training: As ``train_step`` runs the network, or as ``test_step``.

        Raises:
            RefusedError: What it gives cannot be sure to be what it gives in ``fit``.
        """
        size = batch_size if taken % batch_size == 0 else None
        way = size, training
        if way not in self.traced:
            mine = self.shared[training]
            graph, variables = mine.graphs.get(size) or (None, ())
            if graph is None:
                self.traced[way] = graph = _traced(self.model, self.found, x, size, training=training)
                known = set(map(id, mine.variables))
                if all(id(variable) in known for variable in graph.worked_on):  # nothing else makes others unlike it
                    mine.graphs[size] = graph, mine.variables
            else:
                self.traced[way] = graph.of(variables, mine.variables)
        return self.traced[way]

    def features(self, x: tf.Tensor, order: npt.NDArray[np.int64], *, batch_size: int, training: bool) -> tf.Tensor:
        """The stored table, position by position of all passes, of a network in which nothing moves.

        Args:
            x: ``(rows, ...)`` as the model is fed; the same at every call with the same number of rows.
            order: ``(passes, taken)`` row numbers in the order of each pass.
            batch_size: As for ``trace``.
            training: As for ``trace``.

        Returns:
            ``(passes * taken, ...)`` in that order.

        Raises:
            RefusedError: As for ``trace``.
        """
        traced = self.trace(x, order.shape[1], batch_size=batch_size, training=training)
        group = self.name, len(x), batch_size, order.shape[1] % batch_size == 0, training

        def compute() -> tf.Tensor:
            rows = order.reshape(-1)

            def one(batch: npt.NDArray[np.int64]) -> tf.Tensor:
                return tf.concat(list(traced(x, batch, batch_size)), 0)

            alike = next((known for known in self.kept.finished() if known[0][0] == group), None)
            if alike is not None:
                (_, _, known), table = alike
                found = _rearranged(table, np.frombuffer(known, np.int64), rows, batch_size, one)
                if found is not None:
                    return found
            return tf.concat([part for taken in order for part in traced(x, taken, batch_size)], 0)

        table: tf.Tensor = self.kept.get((group, order.shape, order.tobytes()), compute)
        return table


def handles_of(moving: Sequence[Any], own: Sequence[tf.Variable]) -> dict[int, tf.Tensor]:
    """Variables to work on in the place of those that move."""
    return {id(variable): mine.handle for variable, mine in zip(moving, own, strict=True)}


def bytes_of(table: tf.Tensor) -> int:
    """Memory that a table takes."""
    return int(table.shape.num_elements()) * int(table.dtype.size)


def _traced(model: keras.Model, found: Frontier, x: tf.Tensor, size: int | None, *, training: bool) -> Traced:
    moved: set[int] = set()

    def passing(x: tf.Tensor, taken: tf.Tensor, batch_size: tf.Tensor) -> tf.Tensor:
        rows = tf.shape(taken)[0]

        def step(start: tf.Tensor, parts: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            chosen = taken[start : tf.minimum(start + batch_size, rows)]
            chosen.set_shape([size])
            feature = _reach(model, found, tf.gather(x, chosen), training=training)
            moved.update(touched(tf.compat.v1.get_default_graph()))  # the one of the loop's body
            return start + batch_size, parts.write(start // batch_size, feature)

        batches = (rows + batch_size - 1) // batch_size
        kept = tf.TensorArray(found.feature.dtype, batches, infer_shape=False, element_shape=(size, *found.shape))
        _, kept = tf.while_loop(lambda start, _: start < rows, step, (0, kept), parallel_iterations=1)
        features: tf.Tensor = kept.concat()
        return features

    specs = tf.TensorSpec((None, *x.shape[1:]), x.dtype), tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int32)
    concrete = tf.function(passing, autograph=False).get_concrete_function(*specs)
    refuse_unrepeatable(concrete)
    variables = variables_of(model)
    return Traced(
        concrete,
        tuple(None if place is None else variables[place] for place in captured(concrete, variables)),
        tuple(variable for variable in variables if id(raw(variable).handle) in moved),
    )


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
