"""YAML text to plain data, with the line and column of every key, refusing whatever is not plain data.

A spec may come from a stranger. So nothing is constructed from tags, aliases cannot explode, and what a value means
is decided here by YAML 1.2's core schema: ``no`` is a string, ``2001-01-01`` is a string, ``true`` is a boolean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as yaml_events
from ruamel.yaml.error import MarkedYAMLError, YAMLError

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VALUES = 10_000

#: What YAML itself does not allow in a text, and no editor shows.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_TAB = re.compile("^ *\t", re.MULTILINE)

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?\d{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, counted from 1, of a key (or list item) and of what it holds."""

    line: int
    column: int
    value_line: int
    value_column: int


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something in the text that is no plain data."""

    key: str
    message: str
    line: int = 1
    column: int = 1


@dataclass(slots=True)
class Reading:
    """What a text holds.

    Attributes:
        data: The mapping, or None where the text cannot be made sense of.
        places: Dotted key -> where it stands.
        complaints: What is wrong with the text itself.
    """

    data: dict[str, Any] | None = None
    places: dict[str, Place] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Node:
    """A scalar, a list of nodes, or a dict of (line, column, node) by key; aliases share nodes."""

    content: Any
    line: int
    column: int


class _Unreadable(Exception):  # noqa: N818  (it never leaves this file)
    """The rest of the text cannot be made sense of."""

    def __init__(self, complaint: Complaint) -> None:
        self.complaint = complaint
        super().__init__(complaint.message)


def read_yaml(text: str) -> Reading:
    """Reads one YAML document that must be a mapping."""
    reading = Reading()
    try:
        _refuse_invisible(text)
        builder = _Builder(text, reading.complaints)
        root = builder.document()
        data = _Expander(reading.places).expand(root, "")
    except _Unreadable as stop:
        reading.complaints.append(stop.complaint)
    else:
        reading.data = data
    return reading


def join(parent: str, key: object) -> str:
    """The dotted key of a child."""
    return f"{parent}.{key}" if parent else str(key)


def _refuse_invisible(text: str) -> None:
    if found := _CONTROL.search(text):
        raise _Unreadable(
            _complaint_at(text, found.start(), f"control character U+{ord(found[0]):04X}; a spec is plain text")
        )
    if found := _TAB.search(text):
        raise _Unreadable(
            _complaint_at(text, found.end() - 1, "a tab is used to indent; YAML allows only spaces there")
        )


def _complaint_at(text: str, offset: int, message: str) -> Complaint:
    before = text[:offset].splitlines(keepends=True) or [""]
    ended = before[-1].endswith(("\n", "\r"))
    return Complaint("", message, len(before) + ended, 1 if ended else len(before[-1]) + 1)


class _Builder:
    """Makes a graph of nodes from the events of ruamel's parser."""

    def __init__(self, text: str, complaints: list[Complaint]) -> None:
        self._events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)
        self._complaints = complaints
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def document(self) -> _Node:
        self._next()  # the stream's start
        start = self._next()
        if isinstance(start, yaml_events.StreamEndEvent):
            raise _Unreadable(Complaint("", "is empty; equivcheck init writes a spec to start from"))
        if start.version or start.tags:
            raise _Unreadable(_complaint(start, "", "directives are not allowed; remove the lines that start with %"))
        first = self._next()
        if not isinstance(first, yaml_events.MappingStartEvent):
            raise _Unreadable(_complaint(first, "", "is not a mapping; a spec is made of keys such as version: 1"))
        root = self._node(first, "", 0)
        self._next()  # the document's end
        after = self._next()
        if not isinstance(after, yaml_events.StreamEndEvent):
            raise _Unreadable(_complaint(after, "", "a second document starts here; a spec is one document"))
        return root

    def _next(self) -> Any:
        try:
            return next(self._events)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = "is not valid YAML: " + ", ".join(str(part) for part in (error.context, error.problem) if part)
            raise _Unreadable(Complaint("", message, mark.line + 1, mark.column + 1)) from None
        except (YAMLError, ValueError, RecursionError) as error:
            raise _Unreadable(Complaint("", f"is not valid YAML: {error}")) from None

    def _complain(self, event: Any, key: str, message: str) -> None:
        self._complaints.append(_complaint(event, key, message))

    def _node(self, event: Any, key: str, depth: int) -> _Node:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _Unreadable(_complaint(event, key, f"more than {MAX_VALUES} values; that is no spec"))
        if depth > MAX_DEPTH:
            raise _Unreadable(_complaint(event, key, f"is nested more than {MAX_DEPTH} levels deep"))
        if isinstance(event, yaml_events.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Unreadable(_complaint(event, key, f"alias *{event.anchor} has no anchor before it"))
            return self._anchors[event.anchor]
        if event.tag is not None:
            shown = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self._complain(event, key, f"tag {shown} is not allowed; a spec is plain data")
        node = _Node(self._content(event, key, depth), event.start_mark.line + 1, event.start_mark.column + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _content(self, event: Any, key: str, depth: int) -> Any:
        if isinstance(event, yaml_events.ScalarEvent):
            # Quoted and block scalars are strings whatever they look like.
            return event.value if event.style else _plain_scalar(event.value)
        if isinstance(event, yaml_events.SequenceStartEvent):
            items: list[_Node] = []
            while not isinstance(item := self._next(), yaml_events.SequenceEndEvent):
                items.append(self._node(item, join(key, len(items)), depth + 1))
            return items
        return self._mapping(key, depth)

    def _mapping(self, key: str, depth: int) -> dict[str, tuple[int, int, _Node]]:
        pairs: dict[str, tuple[int, int, _Node]] = {}
        while not isinstance(event := self._next(), yaml_events.MappingEndEvent):
            name = self._node(event, key, depth + 1).content
            line, column = event.start_mark.line + 1, event.start_mark.column + 1
            full = join(key, name) if isinstance(name, str) else key
            value = self._node(self._next(), full, depth + 1)
            if not isinstance(name, str):
                self._complain(event, key, "a key is not a string; write it in quotes if it is meant as a name")
            elif not name.isprintable():
                self._complain(event, key, f"key {name!r} holds characters that cannot be printed")
            elif name == "<<":
                self._complain(event, key, "merge keys (<<) are not allowed; sections bottleneck and frozen override")
            elif name in pairs:
                self._complain(event, full, f"is given twice, first in line {pairs[name][0]}")
            else:
                pairs[name] = (line, column, value)
        return pairs


def _complaint(event: Any, key: str, message: str) -> Complaint:
    return Complaint(key, message, event.start_mark.line + 1, event.start_mark.column + 1)


def _plain_scalar(text: str) -> Any:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
    return text


class _Expander:
    """Plain data from a graph of nodes; an aliased node is copied each time, up to a limit."""

    def __init__(self, places: dict[str, Place]) -> None:
        self._places = places
        self._count = 0

    def expand(self, node: _Node, key: str, depth: int = 0) -> Any:
        self._count += 1
        if depth > MAX_DEPTH:
            raise _Unreadable(Complaint("", f"aliases nest more than {MAX_DEPTH} levels deep", node.line, node.column))
        if self._count > MAX_VALUES:
            message = f"aliases expand to more than {MAX_VALUES} values"
            raise _Unreadable(Complaint(key, message, node.line, node.column))
        if isinstance(node.content, dict):
            return {
                name: self._child(join(key, name), line, column, child, depth)
                for name, (line, column, child) in node.content.items()
            }
        if isinstance(node.content, list):
            return [
                self._child(join(key, index), child.line, child.column, child, depth)
                for index, child in enumerate(node.content)
            ]
        return node.content

    def _child(self, key: str, line: int, column: int, child: _Node, depth: int) -> Any:
        # A mapping or list may start lines below its key: the key is where a person looks.
        scalar = not isinstance(child.content, dict | list)
        self._places[key] = Place(line, column, *((child.line, child.column) if scalar else (line, column)))
        return self.expand(child, key, depth + 1)
