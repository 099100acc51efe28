"""Python values to JSON values and back, guided by the annotations of dataclasses and typed dictionaries.

JSON has no NaN and no infinities: they are written as the strings "NaN", "Infinity" and "-Infinity". NumPy scalars
and arrays are recognised by their ``tolist``, so nothing here imports NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from os import PathLike, fspath
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from equivcheck.errors import InputError
from equivcheck.findings import ADDED
from equivcheck.report.visible import shortened

NON_FINITE: Mapping[str, float] = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}

#: Characters of a wrong value that an error quotes.
_LONGEST_QUOTE = 60

_WORDS: Mapping[type, str] = {str: "a string", bool: "true or false", int: "a whole number", float: "a number"}


@cache
def annotations_of(kind: type) -> Mapping[str, Any]:
    """Name and type of every field of a dataclass or typed dictionary, in order."""
    return get_type_hints(kind)


@cache
def required_of(kind: type) -> tuple[str, ...]:
    """The names that must be there: all but those that came into the contract later."""
    later = {field.name for field in fields(kind) if field.metadata.get(ADDED)} if is_dataclass(kind) else set()
    return tuple(name for name in annotations_of(kind) if name not in later)


def to_json(value: Any, where: str = "") -> Any:
    """A JSON value for ``value``; ``where`` is its place, for the TypeError that an unknown type raises."""
    if value is None or isinstance(value, (bool, int, str)):
        plain: Any = value
    elif isinstance(value, float):
        plain = float(value) if math.isfinite(value) else _non_finite_name(value)
    elif is_dataclass(value):
        plain = {field.name: to_json(getattr(value, field.name), f"{where}.{field.name}") for field in fields(value)}
    elif isinstance(value, Mapping):
        plain = {str(key): to_json(item, f"{where}.{key}") for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        plain = [to_json(item, f"{where}[{index}]") for index, item in enumerate(value)]
    elif hasattr(value, "tolist"):
        plain = to_json(value.tolist(), where)
    elif isinstance(value, PathLike):
        plain = fspath(value)
    else:
        raise TypeError(f"{where.lstrip('.')}: a value of type {type(value).__name__} cannot be written as JSON")
    return plain


def from_json(kind: Any, value: Any, where: str = "") -> Any:
    """The value of type ``kind`` that a JSON value stands for.

    Args:
        kind: A dataclass, a typed dictionary, or one of the types that their annotations use.
        value: What ``json.loads`` returned.
        where: Its place in the file, such as ``findings[2].share``.

    Returns:
        An instance of ``kind``.

    Raises:
        InputError: The value has another type; the message says where, what was expected and what was found.
    """
    if kind is Any:
        return _free(value)
    if is_dataclass(kind) or is_typeddict(kind):
        return _record(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else from_json(arguments[0], value, where)
    if origin is Literal:
        if isinstance(value, bool) or value not in arguments:
            raise _wrong("one of " + ", ".join(map(repr, arguments)), value, where)
        return value
    if origin in (tuple, list, Mapping):
        return _container(kind, value, where)
    return _scalar(kind, value, where)


def _container(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _wrong("an object", value, where)
        return {key: from_json(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if not isinstance(value, list):
        raise _wrong("a list", value, where)
    return origin(from_json(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))


def _record(kind: Any, value: Any, where: str) -> Any:
    hints = annotations_of(kind)
    if not isinstance(value, dict):
        raise _wrong("an object", value, where)
    missing = [name for name in required_of(kind) if name not in value]
    unknown = [name for name in value if name not in hints]
    if missing or unknown:
        raise InputError(
            f"{_place(where)}: {' and '.join(_keys(missing, 'missing') + _keys(unknown, 'unknown'))}; "
            f"expected the keys {', '.join(hints)}"
        )
    prefix = f"{where}." if where else ""
    return kind(**{name: from_json(hint, value[name], prefix + name) for name, hint in hints.items() if name in value})


def _scalar(kind: type, value: Any, where: str) -> Any:
    if kind is float:
        if isinstance(value, str) and value in NON_FINITE:
            return NON_FINITE[value]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise _wrong(_WORDS[kind], value, where)


def _free(value: Any) -> Any:
    """A value that the contract leaves open: only the names of the non-finite numbers mean something."""
    if isinstance(value, dict):
        return {key: _free(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_free(item) for item in value]
    return NON_FINITE.get(value, value) if isinstance(value, str) else value


def _non_finite_name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _wrong(expected: str, value: Any, where: str) -> InputError:
    return InputError(f"{_place(where)}: expected {expected}, found {shortened(repr(value), _LONGEST_QUOTE)}")


def _place(where: str) -> str:
    return where or "the report"


def _keys(names: list[str], state: str) -> list[str]:
    if not names:
        return []
    return [f"{state} key{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"]
