"""Layers as a spec writes them: ``- dense: {units: 2}`` or ``- flatten``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from equivcheck.spec.reading import join

_LONGEST_SHOWN_VALUE = 60

#: A class of Keras. Lambda runs code; lower-case names such as ``function`` and ``__lambda__`` do too.
_CLASS = re.compile(r"(?!Lambda$)[A-Z]\w*")


def wrong(message: str, *, at: str = "", allowed: tuple[str, ...] = ()) -> PydanticCustomError:
    """An error in plain words, for validators of the spec.

    Args:
        message: What is wrong.
        at: Key below the value that was validated, where the problem stands.
        allowed: What would be accepted there.
    """
    return PydanticCustomError("spec", "{text}", {"text": message, "at": at, "allowed": allowed})


def parse_layer(value: Any, names: tuple[str, ...]) -> Any:
    """The name and arguments of one written layer, as keywords of ``LayerCall``.

    Args:
        value: As written.
        names: Layers that are allowed.

    Raises:
        PydanticCustomError: It is no layer, or its arguments are more than plain data.
    """
    if isinstance(value, str):
        value, at = {value: None}, ""
    elif isinstance(value, Mapping) and len(value) == 1:
        at = next(iter(value))
    elif isinstance(value, Mapping):
        raise wrong(f"has {len(value)} keys; a layer is one key, such as dense: {{units: 2}}; start each with a dash")
    else:
        raise wrong("is not a layer; write - dense: {units: 2} or - flatten")
    ((name, arguments),) = value.items()
    if name not in names:
        raise wrong(f"{shown(name)} is not a layer that is known here", at=at, allowed=names)
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise wrong(f"is not a mapping of arguments; write - {name}: {{argument: value}}", at=at)
    for argument, given in arguments.items():
        check_argument(given, join(at, argument))
    return {"name": name, "arguments": dict(arguments)}


def check_argument(value: Any, at: str = "") -> None:
    """Refuses an argument from which Keras would import or run something.

    A mapping may only be Keras' way of writing an object: ``{class_name: L2, config: {l2: 0.01}}``. Keras would
    also follow ``module`` and ``registered_name`` and import what they name. Nor may a number be NaN or infinite:
    Keras takes both, and every weight is NaN from the first step on.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong(f"is {'NaN' if math.isnan(value) else 'infinite'}; expected a finite number", at=at)
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_argument(item, join(at, index))
    elif isinstance(value, Mapping):
        if not {"class_name"} <= value.keys() <= {"class_name", "config"}:
            raise wrong(
                "may only have the keys class_name and config, such as {class_name: L2, config: {l2: 0.01}}", at=at
            )
        if not isinstance(value["class_name"], str) or not _CLASS.fullmatch(value["class_name"]):
            raise wrong("is not the name of a Keras class that a spec may use", at=join(at, "class_name"))
        config = value.get("config") or {}
        if not isinstance(config, Mapping):
            raise wrong("is not a mapping", at=join(at, "config"))
        for name, argument in config.items():
            check_argument(argument, join(join(at, "config"), name))


def shown(value: object) -> str:
    """A value as the user wrote it, more or less, and never long."""
    if isinstance(value, Mapping | list | tuple):
        return "a list" if isinstance(value, list | tuple) else "a mapping"
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_SHOWN_VALUE else f"{text[:_LONGEST_SHOWN_VALUE]}…"
