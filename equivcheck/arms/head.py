"""The head: the same Keras layers in both arms, under the same names, drawn from the same seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import keras

from equivcheck.errors import InputError
from equivcheck.spec.keras_names import LAYERS
from equivcheck.spec.model import LayerCall

#: Prefix of the head's layer names, so that none meets a name of the backbone.
PREFIX = "head_"


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
        try:
            layers.append(getattr(keras.layers, LAYERS[call.name])(**{"name": name, **call.arguments}))
        except (TypeError, ValueError) as error:
            raise InputError(f"{call.name}: {str(error).strip().splitlines()[0]}") from None
    return layers


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
