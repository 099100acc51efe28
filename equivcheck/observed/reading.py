"""One file to curves, whatever its format."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from equivcheck.errors import InputError
from equivcheck.findings import ArmName
from equivcheck.measured import ObservedLog
from equivcheck.observed.console import read_console
from equivcheck.observed.csv_log import read_csv_log, separator_of
from equivcheck.observed.history_json import read_history
from equivcheck.observed.joining import joined

#: A log of a thousand epochs with every redrawing of its bar is smaller.
MAX_BYTES = 64 << 20


def read_logs(
    files: Mapping[ArmName, Sequence[Path]], validation_samples: int | None = None
) -> dict[ArmName, ObservedLog]:
    """Reads the files of each arm.

    Args:
        files: Where they are; several of one arm are phases of its training.
        validation_samples: How many validation samples there are, for files that do not say.

    Raises:
        InputError: As ``read_log``.
    """
    logs = {arm: joined([read_log(path) for path in paths]) for arm, paths in files.items()}
    return {
        arm: log if log.validation_samples is not None else replace(log, validation_samples=validation_samples)
        for arm, log in logs.items()
    }


def read_log(path: Path) -> ObservedLog:
    """Reads a console log, a CSVLogger file or a history as JSON; which one is seen from the text.

    Raises:
        InputError: It cannot be read or holds no curve; the message has the file, and the line where there is one.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(content) > MAX_BYTES:
        raise InputError(f"{path}: is larger than {MAX_BYTES >> 20} MiB; keep one training's log")
    text = _decoded(content)
    if not text.strip():
        raise InputError(f"{path}: is empty; expected a console log, a CSVLogger file or a history as JSON")
    if text.lstrip().startswith("{"):
        return read_history(text, str(path))
    body = text.lstrip("\r\n")
    separator = separator_of(body.splitlines()[0])
    return read_console(text, str(path)) if separator is None else read_csv_log(body, str(path), separator)


def _decoded(content: bytes) -> str:
    """PowerShell redirects into UTF-16; what is no text at all (a broken bar character) does not matter."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace")
