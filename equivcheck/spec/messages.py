"""pydantic's errors in the words of someone who writes a spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import ValidationError

from equivcheck.spec.layers import shown
from equivcheck.spec.model import Model

_WANTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "finite_number": "a finite number",
    "int_type": "a whole number",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_type": "text",
    "tuple_type": "a list",
}

#: Keys that may also hold the word none.
_OR_NONE = frozenset({"preprocessing", "augmentation"})

#: Last part of the key -> what its pattern asks for.
_PATTERNS = {
    "callable": "module:function, such as train:frozen_arm",
    "keras_semantics": 'a version of Keras, such as "2.1"',
    "layers": 'a Python slice, such as ":-2"',
}

#: What the names of phases are made of.
_A_NAME = "a name of letters, digits, _, - and blanks that begins with a letter"


@dataclass(frozen=True, slots=True)
class Mistake:
    """One error of pydantic, rewritten.

    Attributes:
        key: Dotted key within what was validated.
        message: What is wrong.
        allowed: What would be accepted.
        written: The value, where the value is what is wrong.
        unknown: The key's own name, where the key itself is what is wrong.
        missing: Whether the key is not there at all.
    """

    key: str
    message: str
    allowed: tuple[str, ...] = ()
    written: object = None
    unknown: str | None = None
    missing: bool = False


def mistakes(error: ValidationError, model: type[Model], data: Mapping[str, Any]) -> Iterator[Mistake]:
    """Everything that pydantic found.

    Args:
        error: What it raised.
        model: The model that was validated.
        data: What it was given.
    """
    for found in error.errors(include_url=False):
        kind, written, context = found["type"], found["input"], found.get("ctx", {})
        path = _written_path(found["loc"], data)
        key = ".".join(map(str, path))
        if kind == "missing":
            key = ".".join(map(str, (*path, found["loc"][-1])))
            yield Mistake(key, "is missing", missing=True)
        elif kind == "extra_forbidden":
            yield Mistake(key, "unknown key", tuple(_fields(model, path[:-1])), unknown=str(path[-1]))
        elif kind == "spec":
            yield _own(key, found["msg"], context, written)
        elif kind == "too_short" and written:
            # pydantic counts the items that passed; those that did not are reported themselves.
            continue
        else:
            allowed = _allowed(kind, model, path)
            yield Mistake(key, _words(kind, path, written, found["msg"]), allowed, written)


def _own(key: str, message: str, context: Mapping[str, Any], written: object) -> Mistake:
    """A mistake that one of our own validators raised with ``wrong``."""
    at, allowed = context.get("at", ""), tuple(context.get("allowed", ()))
    if at and allowed:
        return Mistake(f"{key}.{at}", message, allowed, unknown=at)
    return Mistake(f"{key}.{at}" if at else key, message, allowed, written)


def _words(kind: str, path: tuple[str | int, ...], written: object, message: str) -> str:
    if kind == "literal_error":
        return f"is {shown(written)}, which is not known"
    if kind == "string_pattern_mismatch":
        return f"is {shown(written)}, not {_PATTERNS.get(str(path[-1]), _A_NAME)}"
    if kind in {"too_short", "string_too_short"}:
        return "is empty"
    if kind in _WANTED:
        quotes = kind == "string_type" and isinstance(written, int | float)
        hint = f'; write it in quotes: "{shown(written)}"' if quotes else ""
        wanted = f"{_WANTED[kind]} or none" if path[-1] in _OR_NONE else _WANTED[kind]
        return f"is {shown(written)}, not {wanted}{hint}"
    return f"is {shown(written)}; it {message.removeprefix('Input ').replace('should', 'must', 1)}"


def _allowed(kind: str, model: type[Model], path: tuple[str | int, ...]) -> tuple[str, ...]:
    if kind == "literal_error":
        return tuple(map(str, _literals(_annotation(model, path))))
    if kind == "bool_type":
        return ("true", "false")
    return ()


def _written_path(loc: tuple[str | int, ...], data: Any) -> tuple[str | int, ...]:
    """The part of pydantic's location that stands in the data; the rest are names of union members."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(data, Mapping) and part in data:
            data = data[str(part)]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            continue
        path.append(part)
    return tuple(path)


def _annotation(model: type[Model], path: tuple[str | int, ...]) -> Any:
    annotation: Any = model
    for part in path:
        values = _mapped_to(annotation)
        holder = None if isinstance(part, int) or values is not None else _model_in(annotation)
        if values is not None:
            annotation = values
        elif holder is not None:
            annotation = holder.model_fields[str(part)].annotation
    return annotation


def _mapped_to(annotation: Any) -> Any:
    """What the names of a mapping stand for, such as the phases of a training; None for anything else."""
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    return next((get_args(part)[1] for part in get_args(annotation) if get_origin(part) is dict), None)


def _fields(model: type[Model], path: tuple[str | int, ...]) -> list[str]:
    holder = _model_in(_annotation(model, path))
    return [] if holder is None else list(holder.model_fields)


def _model_in(annotation: Any) -> type[Model] | None:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _literals(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(value for part in get_args(annotation) for value in _literals(part))
