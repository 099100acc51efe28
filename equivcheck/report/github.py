"""Annotations of a GitHub workflow: the findings beside the lines of the spec, in the view of a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.finding_words import place_of
from equivcheck.report.ranking import ranked
from equivcheck.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equivcheck.findings import Finding, Severity
    from equivcheck.report.model import Report

_COMMANDS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "note": "notice"}

#: A command ends at a line break, and its properties at a comma or colon; these are the escapes that GitHub undoes.
#: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def commands(report: Report) -> list[str]:
    """One workflow command a finding, the most severe first; GitHub shows ten errors and ten warnings of a step.

    Args:
        report: The finished run.

    Returns:
        Lines to print. A report that is not equivalent has an error even where no finding says why.
    """
    lines = [_annotation(finding) for finding in ranked(report.findings)]
    if report.verdict != "equivalent" and not any(finding.severity == "error" for finding in report.findings):
        lines.insert(0, _command("error", {"title": f"equivcheck: {report.verdict}"}, report.summary))
    return lines


def _annotation(finding: Finding) -> str:
    place = place_of(finding)
    properties = {"file": place.file, "line": place.line, "col": place.column} if place.file else {}
    title = {"title": f"{finding.code} {finding.title}"}
    repair = f"\nRepair: {finding.repair.text}" if finding.repair else ""
    return _command(_COMMANDS[finding.severity], {**properties, **title}, finding.message + repair)


def _command(name: str, properties: Mapping[str, object], message: str) -> str:
    told = ",".join(
        f"{key}={visible(str(value)).translate(_PROPERTY)}" for key, value in properties.items() if value is not None
    )
    return f"::{name} {told}::{visible(message, keep_lines=True).translate(_DATA)}"
