"""JSON Schema of the report, made from the dataclasses of ``document.py`` and their docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, is_typeddict

from equivcheck.report.document import Document
from equivcheck.report.json_values import NON_FINITE, annotations_of, required_of

_SCALARS: Mapping[Any, dict[str, Any]] = {
    Any: {},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"$ref": "#/$defs/number"},
}
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what ``json_format.dumps`` writes; ``report.schema.json`` is its committed copy."""
    definitions: dict[str, Any] = {
        "number": {
            "description": "A number; JSON has no NaN and no infinities, so they are written as strings.",
            "anyOf": [{"type": "number"}, {"enum": list(NON_FINITE)}],
        }
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:equivcheck:report:1",
        "title": "Report of equivcheck, version 1",
        **_object(Document, definitions),
        "$defs": definitions,
    }


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    documentation = inspect.getdoc(kind) or ""
    descriptions = {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(documentation)}
    properties = {
        name: _described(_schema(hint, definitions), descriptions.get(name))
        for name, hint in annotations_of(kind).items()
    }
    return {
        "description": documentation.partition("\n\n")[0].replace("\n", " "),
        "type": "object",
        "properties": properties,
        "required": list(required_of(kind)),
        "additionalProperties": False,
    }


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    if is_dataclass(kind) or is_typeddict(kind):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = _object(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(arguments[0], definitions), {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (tuple, list):
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    assert origin is Mapping, kind
    return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}


def _described(schema: dict[str, Any], description: str | None) -> dict[str, Any]:
    return {"description": description, **schema} if description else schema
