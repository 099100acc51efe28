"""What a layer says of itself, as text that can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

#: Names, what is judged by its effect (seeds, types, initial values, penalties), and what Keras notes down when it
#: builds a layer.
_LEFT_OUT = frozenset(
    {"name", "dtype", "trainable", "seed", "build_config", "batch_shape", "module", "registered_name", "autocast"}
)
_JUDGED_ELSEWHERE = ("_initializer", "_regularizer", "_constraint")


def settings_of_layer(layer: keras.Operation) -> dict[str, str]:
    """The configuration by argument; empty for a layer that tells none, as one of the user's may not."""
    try:
        config = layer.get_config()
    except Exception:  # noqa: BLE001  (the user's own get_config, or none)
        return {}
    return {key: _told(value) for key, value in config.items() if _is_told(key)} if isinstance(config, Mapping) else {}


def _is_told(key: Any) -> bool:
    return isinstance(key, str) and key not in _LEFT_OUT and not key.endswith(_JUDGED_ELSEWHERE)


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_told(inner)}" for key, inner in value.items() if _is_told(key)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_told, value)) + "]"
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    return getattr(value, "__qualname__", type(value).__qualname__)  # never an address
