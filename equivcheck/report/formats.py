"""The formats of a report that are text: their names, the suffixes of their files, and who renders them."""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equivcheck.report.model import Report

#: Format -> module and function that turn a report into its text. Imported when first used: each needs other packages.
_RENDERERS: Mapping[str, tuple[str, str]] = {
    "json": ("equivcheck.report.json_format", "dumps"),
    "markdown": ("equivcheck.report.markdown", "render"),
    "html": ("equivcheck.report.html", "render"),
    "junit": ("equivcheck.report.junit", "render"),
    "sarif": ("equivcheck.report.sarif", "render"),
}

#: All of them; ``terminal`` is not among them, because it depends on the terminal.
TEXT_FORMATS = tuple(_RENDERERS)

#: Suffix of a file -> format; the longer ones first. Code hosts take SARIF under both of its names.
SUFFIXES: Mapping[str, str] = {
    ".sarif.json": "sarif",
    ".sarif": "sarif",
    ".json": "json",
    ".md": "markdown",
    ".html": "html",
    ".xml": "junit",
}


def format_of(path: str | PurePath) -> str | None:
    """The format that a file's suffix names, in whatever case; None where it names none."""
    name = PurePath(path).name.lower()
    return next((form for suffix, form in SUFFIXES.items() if name.endswith(suffix)), None)


def render(report: Report, form: str) -> str:
    """The report in one of ``TEXT_FORMATS``. The same report gives the same text, byte for byte."""
    module, function = _RENDERERS[form]
    text: str = getattr(import_module(module), function)(report)
    return text
