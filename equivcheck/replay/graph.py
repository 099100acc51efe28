"""What a traced graph holds that a second run of it could not repeat, or that nobody could put back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.framework import op_def_registry  # the one list of which operations have a state

from equivcheck.trace.memory import raw

#: Operations with a state that are safe: variables, which are known and restored, and what only holds operations.
_SAFE = ("Assert", "Assign", "If", "PartitionedCall", "Placeholder", "ReadVariable", "Resource", "Stateful", "While")
#: Of those that begin so, the ones that draw from a generator of their own, whose state is nobody's variable.
_DRAWS = ("ResourceCount", "StatefulRandom", "StatefulStandard", "StatefulTruncated", "StatefulUniform")


class RefusedError(Exception):
    """A training that cannot be compiled so that it is sure to be that of ``fit``; the message says why."""


def refuse_unrepeatable(concrete: Any) -> None:
    """Refuses a graph that draws from generators of TensorFlow's own, calls Python or reads what is no variable.

    Args:
        concrete: A concrete ``tf.function``.

    Raises:
        RefusedError: It holds such an operation.
    """
    for kind in sorted({node.op for node in _nodes(concrete.graph.as_graph_def())}):
        described = op_def_registry.get(kind)
        stateful = described is None or described.is_stateful
        if stateful and (not kind.startswith(_SAFE) or kind.startswith(_DRAWS)):
            raise RefusedError(f"its graph holds {kind}, whose state cannot be seen")


def touched(graph: Any) -> set[int]:
    """The resources that a graph takes from outside and does more to than read, by ``id``."""
    used = {
        id(tensor)
        for operation in graph.get_operations()
        if operation.type != "ReadVariableOp"
        for tensor in operation.inputs
        if tensor.dtype == tf.resource
    }
    return {id(outside) for outside, inside in graph.captures if id(inside) in used}


def _nodes(definition: Any) -> Iterator[Any]:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def captured(concrete: Any, known: Iterable[keras.Variable]) -> list[int | None]:
    """Which of the known variables a graph works on, by position; None for each tensor that it also takes from outside.

    Raises:
        RefusedError: It works on another one, which nobody would put back.
    """
    places = {id(raw(variable).handle): place for place, variable in enumerate(known)}
    taken = concrete.captured_inputs
    if any(one.dtype == tf.resource and id(one) not in places for one in taken):
        raise RefusedError("it works on a variable that the model does not list")
    return [places.get(id(one)) for one in taken]
