"""One spec file: its text, its data as written, and where each key stands."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from equivcheck.errors import InputError, Problem
from equivcheck.findings import Patch
from equivcheck.location import Location
from equivcheck.spec.patch import apply_patch
from equivcheck.spec.reading import MAX_BYTES, Complaint, Place, join, read_yaml

#: A line longer than this is not shown with a problem: the caret would be nowhere near the eye.
_LONGEST_SHOWN_LINE = 160


@dataclass(frozen=True)
class Document:
    """A spec as written.

    Attributes:
        path: The file, as the user gave it.
        text: Its text.
        data: Its keys and values, before any arm is resolved.
        places: Dotted key -> where it stands in the text.
    """

    path: Path
    text: str = field(repr=False)
    data: dict[str, Any]
    places: Mapping[str, Place] = field(repr=False)

    @property
    def folder(self) -> Path:
        """What relative paths of the spec resolve against."""
        return self.path.absolute().parent

    def locate(self, key: str) -> Location:
        """Line and column of a dotted key (``head.0.dense.units``), or of its nearest ancestor that is written."""
        place = self._place(key)
        return Location(str(self.path), place.line, place.column)

    def problem(self, key: str, message: str, allowed: Iterable[str] = (), written: object = None) -> Problem:
        """One thing that is wrong.

        Args:
            key: Dotted key.
            message: What is wrong with it.
            allowed: What would be accepted.
            written: What the user wrote as the value: the problem then points at the value, not at the key, and
                the nearest of ``allowed`` is suggested.
        """
        place = self._place(key)
        at = (place.line, place.column) if written is None else (place.value_line, place.value_column)
        return self._problem_at(key, message, *at, allowed=tuple(allowed), written=written)

    def unknown_key(self, parent: str, name: str, message: str, allowed: Iterable[str]) -> Problem:
        """A key that must not be there; the nearest of ``allowed`` is suggested for the key itself."""
        problem = self.problem(join(parent, name), message, allowed)
        return replace(problem, suggestion=nearest(name, problem.allowed))

    def complaint(self, complaint: Complaint) -> Problem:
        """A problem of the text itself."""
        return self._problem_at(complaint.key, complaint.message, complaint.line, complaint.column)

    def patched(self, patch: Patch) -> Document:
        """The same file with other data; what the file itself says is still located where it stands."""
        return replace(self, data=apply_patch(self.data, patch))

    @cached_property
    def keys(self) -> frozenset[str]:
        """All dotted keys of the data, which after a patch are others than those of the text."""
        return frozenset(_keys(self.data, ""))

    def _place(self, key: str) -> Place:
        while key and key not in self.places:
            key = key.rpartition(".")[0]
        return self.places.get(key, Place(1, 1, 1, 1))

    def _problem_at(
        self, key: str, message: str, line: int, column: int, *, allowed: tuple[str, ...] = (), written: object = None
    ) -> Problem:
        source = self._lines[line - 1] if line <= len(self._lines) else ""
        return Problem(
            key=key,
            message=message,
            location=Location(str(self.path), line, column),
            allowed=allowed,
            suggestion=nearest(written, allowed) if isinstance(written, str) else None,
            source=source if source and len(source) <= _LONGEST_SHOWN_LINE else None,
        )

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines()


def nearest(written: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that was probably meant, if any is near; upper and lower case do not matter."""
    words = {word.lower(): word for word in allowed}
    found = difflib.get_close_matches(written.lower(), words, n=1, cutoff=0.6)
    return words[found[0]] if found else None


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems in the order in which they stand in the file."""

    def place(problem: Problem) -> tuple[int, int]:
        location = problem.location or Location()
        return (location.line or 0, location.column or 0)

    return sorted(problems, key=place)


def read_document(path: Path) -> tuple[Document, list[Problem]]:
    """Reads a file as YAML.

    Returns:
        The document, whose data is empty where the text cannot be made sense of, and what is wrong with the text.

    Raises:
        InputError: There is no such file, or it cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: is not a file; expected a YAML spec")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; equivcheck init writes a spec to start from") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_BYTES:
        return _unreadable(path, Complaint("", f"is larger than {MAX_BYTES >> 20} MiB; a spec is a few dozen lines"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _unreadable(path, Complaint("", "is not UTF-8 text; save the file as UTF-8", line))
    reading = read_yaml(text)
    document = Document(path, text, reading.data or {}, reading.places)
    return document, [document.complaint(complaint) for complaint in reading.complaints]


def _unreadable(path: Path, complaint: Complaint) -> tuple[Document, list[Problem]]:
    empty = Document(path, "", {}, {})
    return empty, [empty.complaint(complaint)]


def _keys(data: Any, parent: str) -> Iterator[str]:
    children: Iterable[tuple[object, Any]] = ()
    if isinstance(data, dict):
        children = data.items()
    elif isinstance(data, list | tuple):
        children = enumerate(data)
    for name, child in children:
        key = join(parent, name)
        yield key
        yield from _keys(child, key)
