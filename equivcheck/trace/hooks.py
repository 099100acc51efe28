"""Watches every layer call inside a model while the model runs as it always does.

A layer here is also a plain operation that stands in a functional graph, as ``x / 255`` leaves one: it has a name, an
input and an output, and it can make the difference.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.models.functional import Functional  # keras.Model is every model; only this class is a graph


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of one layer, seen from inside.

    Attributes:
        path: Names of the containers and of the layer, joined by slashes; a second call of a shared layer ends in #2.
        layer: The live layer; a plain operation of a functional graph has no variables.
        run: The layer's own ``call``.
        args: Positional arguments; the first is the input.
        kwargs: Keyword arguments as Keras resolved them, ``training`` among them where the layer takes it.
    """

    path: str
    layer: keras.Operation
    run: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def flag(self) -> bool | None:
        """The ``training`` value that the layer received; None where it takes none, or was given none."""
        value = self.kwargs.get("training")
        return None if value is None else bool(value)


#: Is given the call, runs it (or not), and returns what the next layer shall receive.
Handler = Callable[[LayerCall], Any]


def layers_by_path(model: keras.layers.Layer) -> dict[str, keras.Operation]:
    """Every layer below a model that computes something itself, by full path, in the model's own order.

    Functional and Sequential models only route tensors, so they give a path its parts but are not listed. A layer with
    sub-layers of its own (attention, a wrapper, a subclassed model) is listed, and its sub-layers after it; but not the
    cells of a recurrent layer, which run once a time step and so as often as a batch is long.
    """
    found: dict[str, keras.Operation] = {}
    seen: set[int] = set()

    def walk(container: keras.layers.Layer, prefix: str) -> None:
        if isinstance(container, keras.layers.RNN):
            return
        # _flatten_layers is the one way to the sub-layers of any layer, subclassed ones included.
        for layer in (*_operations(container), *container._flatten_layers(include_self=False, recursive=False)):  # noqa: SLF001
            if id(layer) in seen or isinstance(layer, keras.layers.InputLayer):
                continue
            seen.add(id(layer))
            path = f"{prefix}{layer.name}"
            while path in found:
                path += "'"
            if not isinstance(layer, keras.layers.Layer) or not is_router(layer):
                found[path] = layer
            if isinstance(layer, keras.layers.Layer):
                walk(layer, f"{path}/")

    if not is_router(model):
        found[model.name] = model
    walk(model, "")
    return found


def _operations(container: keras.layers.Layer) -> Iterator[keras.Operation]:
    """What a functional graph computes without a layer."""
    if isinstance(container, Functional):
        yield from (node for node in container.operations if not isinstance(node, keras.layers.Layer))


def is_router(layer: keras.layers.Layer) -> bool:
    """Whether a layer only hands tensors from one sub-layer to the next."""
    if isinstance(layer, keras.Sequential):
        return type(layer).call is keras.Sequential.call
    return isinstance(layer, Functional) and type(layer).call is Functional.call


@contextmanager
def hooked(model: keras.Model, handler: Handler) -> Iterator[None]:
    """Sends every layer call inside the model through the handler.

    Only the layer objects' own ``call`` is stood in for, so whatever the outer model decides (the ``training`` flag
    above all) is seen as it arrives. Everything is put back on leaving.
    """
    calls: Counter[str] = Counter()
    layers = layers_by_path(model)
    # An object of the user's may have a call of its own already.
    own = {path: vars(layer)["call"] for path, layer in layers.items() if "call" in vars(layer)}

    def watched(path: str, layer: keras.Operation) -> Callable[..., Any]:
        original = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            calls[path] += 1
            node = f"{path}#{calls[path]}" if calls[path] > 1 else path
            return handler(LayerCall(node, layer, original, args, kwargs))

        return call

    try:
        for path, layer in layers.items():
            # Past Keras' attribute tracking: nothing about the layer changes but this one name.
            layer.__dict__["call"] = watched(path, layer)
        yield
    finally:
        for path, layer in layers.items():
            if path in own:
                layer.__dict__["call"] = own[path]
            else:
                layer.__dict__.pop("call", None)


def declared_inference(model: keras.Model) -> tuple[str, ...]:
    """Names of the layers that the model's own graph calls with ``training=False`` written out."""
    if not isinstance(model, Functional):
        return ()
    # The nodes of a graph have no public reader for the keywords they were made with. A layer whose own default is
    # False has it in its node too, so only layers without a default of their own can tell what was written.
    return tuple(
        operation.name
        for operation in model.operations
        for node in operation._inbound_nodes  # noqa: SLF001
        if node.arguments.kwargs.get("training") is False and _default_flag(operation) is None
    )


def _default_flag(operation: keras.Operation) -> Any:
    parameter = inspect.signature(operation.call).parameters.get("training")
    return False if parameter is None else parameter.default
