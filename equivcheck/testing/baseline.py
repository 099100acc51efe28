"""Known differences that a project accepts, each with its reason; a file that is reviewed like code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from equivcheck.catalog import names
from equivcheck.errors import Problem, SpecError
from equivcheck.findings import Finding, Side
from equivcheck.location import Location
from equivcheck.spec.document import Document, in_order, read_document

VERSION = 1

_KEYS = ("spec", "code", "arm", "reason")


@dataclass(frozen=True, slots=True)
class Accepted:
    """One known difference.

    Attributes:
        spec: The spec that has it.
        code: Code of the check that reports it.
        arm: Which arm has it; None where any may.
        reason: Why it is accepted.
        place: Where the file says so.
    """

    spec: Path
    code: str
    arm: Side | None
    reason: str
    place: Location

    def covers(self, finding: Finding) -> bool:
        """Whether this is the finding that is accepted."""
        return self.code == finding.code and self.arm in {None, finding.arm}


def read_baseline(path: Path) -> tuple[Accepted, ...]:
    """The accepted differences of a file.

    Raises:
        SpecError: The file is wrong; all its problems are in it.
        InputError: There is no such file, or it cannot be read.
    """
    document, problems = read_document(path)
    if _is_blank(document):
        return ()
    if not problems:
        problems = list(_problems(document))
    if problems:
        raise SpecError(in_order(problems))
    return tuple(
        Accepted(
            spec=(document.folder / entry["spec"]).resolve(),
            code=entry["code"],
            arm=entry.get("arm"),
            reason=" ".join(entry["reason"].split()),
            place=replace(document.locate(f"accepted.{number}"), column=None),
        )
        for number, entry in enumerate(document.data["accepted"])
    )


def _is_blank(document: Document) -> bool:
    """Whether the file holds nothing, or comments only; one that cannot be read as text holds something."""
    if not document.text:
        return document.path.stat().st_size == 0
    return all(not line.strip() or line.lstrip().startswith("#") for line in document.text.splitlines())


def _problems(document: Document) -> Iterator[Problem]:
    data = document.data
    for key in data.keys() - {"version", "accepted"}:
        yield document.unknown_key("", key, "is no key of a baseline", ("version", "accepted"))
    if data.get("version") != VERSION or data.get("version") is True:
        yield document.problem("version", f"is {_shown(data.get('version'))}; this equivcheck reads version {VERSION}")
    if not isinstance(data.get("accepted"), list):
        yield document.problem("accepted", "is no list; each item has spec, code and reason")
        return
    for number, entry in enumerate(data["accepted"]):
        yield from _entry_problems(document, f"accepted.{number}", entry)


def _entry_problems(document: Document, key: str, entry: Any) -> Iterator[Problem]:
    if not isinstance(entry, dict):
        yield document.problem(key, "is no mapping; expected spec, code and reason")
        return
    for name in entry.keys() - set(_KEYS):
        yield document.unknown_key(key, name, "is no key of an accepted difference", _KEYS)
    for name in ("spec", "code", "reason"):
        value = entry.get(name)
        if not isinstance(value, str) or not value.strip():
            said = "say why the difference is accepted" if name == "reason" else "expected a text"
            yield document.problem(f"{key}.{name}", f"is {_shown(value)}; {said}")
    if isinstance(code := entry.get("code"), str) and code.strip() and code not in names():
        yield document.problem(f"{key}.code", f"there is no check {code!r}; equivcheck checks lists all")
    if "arm" in entry and entry["arm"] not in get_args(Side):
        yield document.problem(f"{key}.arm", f"is {_shown(entry['arm'])}", get_args(Side), entry["arm"])


def _shown(value: Any) -> str:
    return "missing" if value is None else "empty" if value == "" else repr(value)
