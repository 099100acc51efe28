"""The head: the same Keras layers in both arms, under the same names, drawn from the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import keras

from equivcheck.arms.said import refused
from equivcheck.errors import InputError
from equivcheck.spec.keras_names import LAYERS
from equivcheck.spec.model import LayerCall

#: Prefix of the head's layer names, so that none meets a name of the backbone.
PREFIX = "head_"
AUGMENTATION_PREFIX = "augmentation_"


def build_layers(calls: Sequence[LayerCall], *, prefix: str = PREFIX) -> list[keras.layers.Layer]:
    """Keras layers from their names and arguments.

    Args:
        calls: Names in snake case, and arguments.
        prefix: Put before each layer's name.

    Raises:
        InputError: Keras refuses the arguments.
    """
    seen: Counter[str] = Counter()
    layers = []
    for call in calls:
        name = prefix + call.name + (f"_{seen[call.name]}" if seen[call.name] else "")
        seen[call.name] += 1
        with refused(call.name):
            layers.append(getattr(keras.layers, LAYERS[call.name])(**{"name": name, **call.arguments}))
    return layers


def head_model(layers: Sequence[keras.layers.Layer], shape: tuple[int, ...]) -> keras.Model:
    """The layers as a model of their own, on features of this shape.

    Raises:
        InputError: One of them does not take what the one before it gives.
    """
    with refused(lambda: _written(next((layer for layer in layers if not _called(layer)), layers[-1]))):
        return keras.Sequential([keras.Input(shape), *layers], name="head")


def apply_layers(layers: Sequence[keras.layers.Layer], inputs: Any, **arguments: Any) -> Any:
    """The output of one layer after the other.

    Raises:
        InputError: One of them does not take what the one before it gives.
    """
    outputs = inputs
    for layer in layers:
        with refused(_written(layer)):
            outputs = layer(outputs, **arguments)
    return outputs


def _called(layer: keras.layers.Layer) -> bool:
    """Whether a layer is part of a graph; Keras builds all layers of a Sequential in one go."""
    try:
        return layer.output is not None
    except (AttributeError, ValueError):
        return False


def _written(layer: keras.layers.Layer) -> str:
    """The layer's name as in the spec."""
    return str(layer.name).removeprefix(PREFIX).removeprefix(AUGMENTATION_PREFIX)


def units_of(shape: Any) -> int:
    """How many numbers a head gives for one image.

    Args:
        shape: Output shape of the model that ends in it.

    Raises:
        InputError: It gives a map or a sequence of such numbers, which no label fits.
    """
    if isinstance(shape, tuple) and len(shape) == 2:  # noqa: PLR2004
        return int(shape[-1])
    pooling = {4: " or global_average_pooling2d", 3: " or global_average_pooling1d"}.get(len(shape), "")
    raise InputError(
        f"the head's output has shape {shape}; expected (None, units), one row for each image: "
        f"the features at the cut still have places; add - flatten{pooling} to the head, before its first dense"
    )


def check_head(outputs: int, labels: str, loss: str, classes: int) -> None:
    """Refuses a head that cannot tell the classes apart.

    Args:
        outputs: Units of the head's last layer.
        labels: Label encoding of the spec.
        loss: Name of the loss.
        classes: Number of classes in the data.

    Raises:
        InputError: The head does not fit the classes.
    """
    if labels == "binary" or (outputs == 1 and loss.startswith("binary")):
        if classes != 2:  # noqa: PLR2004
            raise InputError(f"binary labels need two classes; the data has {classes}")
        if outputs != 1:
            raise InputError(f"binary labels need a head with 1 output; it has {outputs}")
    elif outputs != classes:
        raise InputError(f"the head has {outputs} outputs but the data has {classes} classes")
