"""A report as JSON, version 1, and back. The same report gives the same text, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from equivcheck.errors import InputError
from equivcheck.report.document import Document, from_report, to_report
from equivcheck.report.json_values import from_json, to_json
from equivcheck.report.model import REPORT_VERSION

if TYPE_CHECKING:
    from equivcheck.report.model import Report


def as_dict(report: Report) -> dict[str, Any]:
    """The report as dictionaries, lists, strings and numbers: exactly what the JSON says."""
    document: dict[str, Any] = to_json(from_report(report))
    return document


def dumps(report: Report) -> str:
    """The report as JSON text, in ASCII so that it passes through any pipe, with a newline at its end."""
    return json.dumps(as_dict(report), indent=2, allow_nan=False) + "\n"


def loads(text: str) -> Report:
    """Reads what ``dumps`` wrote.

    Args:
        text: The whole JSON text.

    Returns:
        The report. Arrays come back as lists, and the findings' spec keys are not part of the file.

    Raises:
        InputError: The text is not JSON, is cut off, has another version, or a value has a wrong type.
    """
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        cut_off = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated string")
        raise InputError(
            f"the report is not valid JSON: line {error.lineno}, column {error.colno}: "
            + ("the file ends too early; it may have been cut off" if cut_off else error.msg)
        ) from None
    except (RecursionError, ValueError) as error:
        raise InputError(f"the report is not valid JSON: {error}") from None
    if not isinstance(document, dict) or "version" not in document:
        raise InputError('this JSON is not a report of equivcheck: it has no key "version"')
    version = document["version"]
    if isinstance(version, bool) or version != REPORT_VERSION:
        raise InputError(f"version: this equivcheck reads version {REPORT_VERSION}, the report has {version!r}")
    return to_report(from_json(Document, document))


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f'{constant} must be written as the string "{constant}"')
