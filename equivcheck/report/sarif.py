"""A report as SARIF 2.1.0: findings as alerts at lines of the spec, for code scanning and editors."""

from __future__ import annotations

import hashlib
import json
import re
from inspect import cleandoc
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from equivcheck.catalog import check_of, names
from equivcheck.check_page import sections
from equivcheck.report.finding_words import patch_of, place_of
from equivcheck.report.json_values import to_json
from equivcheck.report.ranking import ranked
from equivcheck.report.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equivcheck.findings import Finding
    from equivcheck.report.model import Report

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

#: Both as in sections 3.11.5 and 3.11.6 of the standard.
_PLACEHOLDER = re.compile(r"\{\d+\}")
_LINK = re.compile(r"\[(?=[^\[\]]*\]\()")


def render(report: Report) -> str:
    """The report as SARIF; skipped checks are notifications, and cleared differences a property."""
    findings = ranked(report.findings)
    rules = _rules(findings)
    index = {rule["id"]: place for place, rule in enumerate(rules)}
    results = [_result(finding, index[finding.code]) for finding in findings]
    run = {
        "tool": {
            "driver": {
                "name": "equivcheck",
                "rules": rules,
                **({"version": visible(report.versions["equivcheck"])} if "equivcheck" in report.versions else {}),
            }
        },
        "columnKind": "unicodeCodePoints",
        # Up to its last slash it is GitHub's category: each spec has its own alerts.
        "automationDetails": {"id": f"equivcheck/{visible(report.name)}/"},
        "invocations": [
            {
                "executionSuccessful": report.verdict != "inconclusive",
                "toolExecutionNotifications": [
                    {
                        "level": "none",
                        "associatedRule": {"id": visible(skipped.code)},
                        "message": {"text": visible(skipped.reason, keep_lines=True)},
                    }
                    for skipped in report.skipped
                ],
            }
        ],
        "results": results,
        # Not as results of kind "pass": GitHub does not look at the kind and would raise an alert.
        "properties": {
            "verdict": report.verdict,
            "summary": report.summary,
            "cleared": [to_json(difference) for difference in report.cleared],
        },
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _rules(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """One rule a code, in the order of the codes."""
    said = {finding.code: (finding.name, finding.title) for finding in findings}
    return [
        {"id": code, "name": visible(name), "shortDescription": {"text": visible(title)}, **_page(code)}
        for code, (name, title) in sorted(said.items())
    ]


def _page(code: str) -> dict[str, Any]:
    """What the check says of itself; nothing where another version's report names a check that this one lacks.

    There is no ``helpUri``: the pages of the checks are published nowhere but in ``equivcheck explain``.
    """
    if code not in names():
        return {}
    check = check_of(code)
    what, why, advice, more = *map(cleandoc, (check.what, check.why, check.advice)), f"equivcheck explain {code}"
    return {
        "fullDescription": {"text": f"{what}\n\n{why}"},
        "help": {"text": f"{what}\n\n{why}\n\nRepair: {advice}\n\nMore: {more}", "markdown": sections(check)},
        "defaultConfiguration": {"level": check.severity},
    }


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    told = [f"{finding.title.rstrip('.')}.", finding.message]
    if finding.repair:
        told.append(f"Repair: {finding.repair.text}")
    # An alert is the same alert after lines were inserted above it.
    same = "\n".join((finding.code, finding.arm, place_of(finding).file or ""))
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "kind": "fail",
        "level": finding.severity,
        "message": {"text": _plain(visible("\n".join(told), keep_lines=True))},
        "locations": [_location(finding)] if place_of(finding).file or place_of(finding).layer else [],
        "partialFingerprints": {
            "equivcheck/v1": hashlib.sha256(same.encode("utf-8", "backslashreplace")).hexdigest()[:32]
        },
        "properties": {
            "arm": finding.arm,
            "measured": to_json(finding.measured),
            "expected": finding.expected,
            "share": to_json(finding.share),
            "verified": finding.verified,
            "patch": patch_of(finding) or None,
        },
    }


def _location(finding: Finding) -> dict[str, Any]:
    place = place_of(finding)
    location: dict[str, Any] = {}
    if place.file:
        location["physicalLocation"] = {"artifactLocation": {"uri": _uri(place.file)}}
        region = {"startLine": place.line, "startColumn": place.column}
        # A region begins with a line; lines and columns count from 1.
        if place.line is not None and place.line > 0:
            known = {name: value for name, value in region.items() if value is not None and value > 0}
            location["physicalLocation"]["region"] = known
    if place.layer:
        location["logicalLocations"] = [{"fullyQualifiedName": visible(place.layer), "kind": "module"}]
    return location


def _uri(file: str) -> str:
    """A path as a URI: relative paths stay relative to wherever the run was started."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(file).is_absolute():
            return kind(file.encode("utf-8", "backslashreplace").decode()).as_uri()
    return quote(file.replace("\\", "/").encode("utf-8", "backslashreplace"))


def _plain(text: str) -> str:
    """A message in which nothing is taken for a placeholder (``{0}``) or an embedded link (``[a](b)``)."""
    return _LINK.sub(r"\\[", _PLACEHOLDER.sub(r"{\g<0>}", text))
