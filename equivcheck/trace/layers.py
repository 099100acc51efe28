"""What every layer received and gave, in one pass through the outer model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from equivcheck.arms.said import described
from equivcheck.errors import InconclusiveError
from equivcheck.trace.arrays import array_of, tensors_of
from equivcheck.trace.behaviour import Behaviour
from equivcheck.trace.hooks import Handler, LayerCall, hooked


@dataclass(frozen=True, slots=True)
class Seen:
    """One layer call of one pass.

    Attributes:
        path: Full path in its model.
        layer: The live layer.
        inputs: Tensors it received: arrays, or in a graph that is being traced the graph's tensors. Each tensor is one
            object wherever it turns up, so that who feeds whom can be told.
        outputs: Tensors it gave.
        call: The call itself, so that the layer can be run again on another input.
        behaviour: Set where it was asked for.
    """

    path: str
    layer: keras.Operation
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    call: LayerCall
    behaviour: Behaviour = field(default_factory=Behaviour)

    @property
    def flag(self) -> bool | None:
        """The ``training`` value that the layer received; None where it takes none, or was given none."""
        return self.call.flag


#: Runs a layer call and says how the layer behaves; None for a call that is not the model's.
Measure = Callable[[LayerCall], tuple[Any, Behaviour | None]]


class _SeenEnoughError(BaseException):
    """Leaves the model in the midst of a pass; not an ``Exception``, which Keras would dress up on the way."""


def watch(
    model: keras.Model,
    run: Callable[[], Any],
    *,
    prefix: str = "",
    measure: Measure | None = None,
    until: Callable[[Seen], bool] | None = None,
) -> tuple[tuple[Seen, ...], Any]:
    """Runs the model once and records every layer call.

    Variables that the pass moves are the caller's to restore (``state.undisturbed``).

    Args:
        model: The outer model.
        run: Runs it, eagerly or while a graph is traced.
        prefix: Put before each path.
        measure: Runs each layer and finds out how it behaves (``behaviour.Meter``).
        until: Ends the pass behind the first call of which it is true; the rest of the network is not run.

    Returns:
        The calls in the order in which they finished, and what ``run`` returned; None where the pass was ended.

    Raises:
        InconclusiveError: A layer raised, or the model itself; the message names it.
    """
    seen: list[Seen] = []
    known: dict[int, tuple[Any, Any]] = {}

    def record(call: LayerCall) -> Any:
        outputs, found = measure(call) if measure else (call.run(*call.args, **call.kwargs), Behaviour())
        if found is not None:
            inputs = _once((call.args, call.kwargs), known)
            seen.append(Seen(prefix + call.path, call.layer, inputs, _once(outputs, known), call, found))
            if until is not None and until(seen[-1]):
                raise _SeenEnoughError
        return outputs

    try:
        result = overheard(model, run, record, prefix=prefix)
    except _SeenEnoughError:
        return tuple(seen), None
    return tuple(seen), result


def overheard(model: keras.Model, run: Callable[[], Any], handler: Handler, *, prefix: str = "") -> Any:
    """Runs the model once with every layer call going through ``handler``.

    Raises:
        InconclusiveError: A layer raised, or the model itself; the message names it.
    """
    broken: list[str] = []

    def heard(call: LayerCall) -> Any:
        try:
            return handler(call)
        except Exception as error:
            broken.append(f"layer {prefix}{call.path} ({type(call.layer).__name__}) raised {described(error)}")
            raise

    try:
        with hooked(model, heard), _untraced():
            return run()
    except Exception as error:
        said = broken[0] if broken else f"model {model.name} raised {described(error)}"
        raise InconclusiveError(said) from error


@contextmanager
def _untraced() -> Iterator[None]:
    """Runs functions of the user's as plain Python: one that has been traced before would call no layer."""
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(run_eagerly=True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def weights_of(layer: keras.Operation) -> list[keras.Variable]:
    """A layer's weights; a plain operation has none."""
    return list(layer.weights) if isinstance(layer, keras.layers.Layer) else []


def _once(structure: Any, known: dict[int, tuple[Any, Any]]) -> tuple[Any, ...]:
    """The tensors of a structure, each as one object: one layer's output is the next one's input."""
    tensors = tensors_of(structure)
    for tensor in tensors:
        if id(tensor) not in known:
            # The tensor too, so that its id stays taken.
            known[id(tensor)] = tensor, tensor if tf.is_symbolic_tensor(tensor) else array_of(tensor)
    return tuple(known[id(tensor)][1] for tensor in tensors)
