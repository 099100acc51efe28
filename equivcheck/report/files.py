"""Writes a report to a file: the suffix names the format, and a reader never sees half a file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from equivcheck.errors import InputError
from equivcheck.report.formats import SUFFIXES, format_of, render

if TYPE_CHECKING:
    from equivcheck.report.model import Report


def save(report: Report, path: str | Path) -> None:
    """Writes the report in the format that the suffix names.

    Args:
        report: What to write.
        path: The file; it is replaced if it exists. Its folder must exist.

    Raises:
        InputError: The suffix names no known format, or the file cannot be written.
    """
    form = format_of(path)
    if form is None:
        suffix = Path(path).suffix.lower() or "(none)"
        raise InputError(f"{path}: the suffix {suffix} names no format of a report; supported: {', '.join(SUFFIXES)}")
    write_atomically(path, render(report, form))


def write_atomically(path: str | Path, text: str) -> None:
    """Writes UTF-8 text beside the file, then puts it in the file's place; a failure leaves the old file alone.

    Args:
        path: The file. Where it is a symbolic link, the file that it points to is replaced.
        text: Its new content.

    Raises:
        InputError: The file cannot be written; the message says why.
    """
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".equivcheck-{secrets.token_hex(8)}.tmp")
    try:
        try:
            with draft.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
