"""Two models side by side on the same batches, every pair of aligned tensors compared while it is in memory.

Both models become one graph, in which a comparison stands behind each aligned pair of tensors. So a pair lives only
until both of its tensors are there, models and comparisons fill each other's idle cores, and a layer costs one read of
its output where the two are equal. The numbers are NumPy's (``diff.tally``): one implementation for every type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from weakref import ref

import keras
import numpy as np
import tensorflow as tf

from equivcheck.diff.tally import Tally, tally
from equivcheck.errors import InconclusiveError
from equivcheck.trace.arrays import array_of, tensors_of
from equivcheck.trace.behaviour import variables_of_layer
from equivcheck.trace.layers import Seen, watch
from equivcheck.trace.plan import Plan, plan, tensor_at

#: How many layers a model may be ahead of the comparison: enough to keep both cores busy, few enough to keep memory
#: where two plain passes have it.
_AHEAD = 2

#: By place of the plan; None where two tensors had different shapes.
Tallies = list[Tally | None]

Sides = tuple[tuple[Seen, ...], tuple[Seen, ...]]


class Together:
    """Runs both models on batch after batch and adds up what it compares.

    Attributes:
        plan: What is compared with what; known once the first batch has been seen.
        calls: The calls of both, as they were when the plan was made.
        tallies: What was counted so far.
    """

    def __init__(self, models: tuple[keras.Model, keras.Model], *, training: bool) -> None:
        self._models = models
        self._training = training
        self._graphs: dict[Any, Callable[..., Any]] = {}
        self._eager = any(model.run_eagerly for model in models)
        self._shared_states = _shared_states(*models)
        self.plan: Plan | None = None
        self.calls: Sides = ((), ())
        self.tallies: Tallies = []

    def prepare(self, batch: Any) -> Plan:
        """Finds out what is what, on a batch that is not counted.

        Raises:
            InconclusiveError: A layer raised; the message names it.
        """
        if self._eager:
            self._record(batch)
        else:
            try:
                self._graph(batch)
            except Exception:  # noqa: BLE001  (some layers cannot be traced: then both run as they are)
                self._eager, self.plan = True, None
                self._record(batch)
        assert self.plan is not None
        return self.plan

    def count(self, batch: Any) -> None:
        """Runs both models on a batch and compares everything; after an error nothing of the batch is counted.

        Raises:
            InconclusiveError: A layer raised; the message names it.
        """
        before = list(self.tallies)
        try:
            if self._eager:
                self._count_eagerly(batch)
            else:
                graph = self._graph(batch)
                with _unoptimised():
                    graph(batch)
        except Exception as error:
            self.tallies = before
            if self._eager or isinstance(error, InconclusiveError) or out_of_memory(error):
                raise
            self._count_eagerly(batch)  # a graph does not say which layer it was

    def _count_eagerly(self, batch: Any) -> None:
        sides = self._record(batch)
        assert self.plan is not None
        for index, (a, b) in enumerate(self.plan.places):
            self._count(index, tensor_at(sides, a), tensor_at(sides, b))

    def _count(self, index: int, a: Any, b: Any) -> None:
        x, y = array_of(a), array_of(b)
        if x.shape != y.shape:
            self.tallies[index] = None
        elif (sofar := self.tallies[index]) is not None:
            self.tallies[index] = sofar + tally(x, y)

    def _record(self, batch: Any) -> Sides:
        """Both models on a batch, every call written down: as values, or as places while a graph is traced."""
        first, second = self._models
        kept = [(state, tf.identity(state)) for state in self._shared_states]
        left, _ = watch(first, lambda: first(batch, training=self._training))
        for state, value in kept:
            state.assign(value)
        right, _ = watch(second, lambda: second(batch, training=self._training))
        sides = left, right
        found = plan(*sides)
        if self.plan is None:
            self.plan, self.calls = found, sides
            self.tallies = [Tally() for _ in found.places]
        elif (found.pairs, found.places) != (self.plan.pairs, self.plan.places):
            raise InconclusiveError("the models call other layers for one batch than for another: nothing to add up")
        return sides

    def _graph(self, batch: Any) -> Callable[..., Any]:
        """The graph for batches like this one, of any size."""
        spec = tf.nest.map_structure(_any_size, batch)
        key = repr(spec)
        if key not in self._graphs:
            free = not _share_variables(*self._models) or not self._training
            # What is put back for the second model is put back when the first has ended.
            lockstep = free and not self._shared_states
            # AutoGraph would rewrite all of ours. A layer of the user's that needs it cannot be traced without, and is
            # then run as it is.
            traced = tf.function(lambda x: self._compare(x, lockstep=lockstep), autograph=False)
            self._graphs[key] = traced.get_concrete_function(spec)
        return self._graphs[key]

    def _compare(self, batch: Any, *, lockstep: bool) -> Any:
        left, right = self._record(batch)
        assert self.plan is not None
        marks: dict[int, Any] = {}
        size = tf.size(tensors_of(batch)[0])
        for index, (a, b) in enumerate(self.plan.places):
            x, y = tensor_at((left, right), a), tensor_at((left, right), b)
            # Stateless, so that comparisons need not wait for one another; and fed what is only known when the graph
            # runs, so that one of constants is not done once and for all while the graph is optimised.
            told = partial(_told, ref(self), index)
            marks[index] = tf.numpy_function(told, [x, y, size], tf.int32, stateful=False)
        if lockstep:
            _hold_back(self.plan, left, right, marks)
        return tf.stack(list(marks.values())) if marks else tf.zeros(0, tf.int32)


def _told(together: ref[Together], index: int, a: Any, b: Any, _size: Any) -> np.int32:
    """Counts. TensorFlow keeps what it is to call for as long as the process lives, so this holds on to nothing."""
    told = together()
    if told is not None:
        told._count(index, a, b)  # noqa: SLF001  (the same class's, but for that)
    return np.int32(0)


@contextmanager
def _unoptimised() -> Iterator[None]:
    """Runs graphs as they were traced.

    Rewriting one that runs for a few batches takes longer than it gains: what rewriting joins are layers whose outputs
    are all compared.
    """
    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before["disable_meta_optimizer"]})


def out_of_memory(error: BaseException | None) -> bool:
    """Whether memory was short, be it in a layer that an error of ours names."""
    cause = error.__cause__ if isinstance(error, InconclusiveError) else error
    return isinstance(cause, MemoryError | tf.errors.ResourceExhaustedError)


def _any_size(tensor: Any) -> Any:
    """The type of a batch, whatever number of samples it holds."""
    spec = tf.type_spec_from_value(tensor)
    if isinstance(spec, tf.TensorSpec) and spec.shape.rank:
        return tf.TensorSpec([None, *spec.shape[1:]], spec.dtype)
    if isinstance(tensor, tf.RaggedTensor):
        return tf.RaggedTensorSpec([None, *spec.shape[1:]], tensor.dtype, tensor.ragged_rank, tensor.row_splits.dtype)
    return spec


def _share_variables(first: keras.Model, second: keras.Model) -> bool:
    return bool({id(variable) for variable in first.variables} & {id(variable) for variable in second.variables})


def _shared_states(first: keras.Model, second: keras.Model) -> list[Any]:
    """What both models read and move in a pass, and no list of Keras' holds, such as a recurrent layer's state."""
    ours, theirs = ({id(v): v for v in variables_of_layer(model)} for model in (first, second))
    listed = {id(variable) for variable in first.variables}
    return [variable for key, variable in ours.items() if key in theirs and key not in listed]


def _hold_back(plan: Plan, left: Sequence[Seen], right: Sequence[Seen], marks: dict[int, Any]) -> None:
    """Lets neither model run far ahead of the comparison, which would keep all its activations in memory.

    An order that the graph has already is the only one that is added, so no circle can come about: calls wait for
    comparisons of calls before them, in either model.
    """
    last = (-1, -1)
    for index, ((first, i, _), (second, j, _)) in enumerate(plan.places):
        if first == second or i < last[0] or j < last[1]:
            continue  # what has no partner, and pairs that cross
        last = (i, j)
        for side, call in ((left, i), (right, j)):
            if call + _AHEAD < len(side):
                for tensor in side[call + _AHEAD].outputs:
                    # Control edges can be given to an operation that exists in no public way.
                    tensor.op._add_control_input(marks[index].op)  # noqa: SLF001
