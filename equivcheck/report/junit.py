"""A report as JUnit XML: one test case a check, for the test view of a CI server."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from equivcheck.report.finding_words import VERIFIED, arm_of, in_file, patch_of, place_of, share_of
from equivcheck.report.numbers import measured
from equivcheck.report.ranking import ranked
from equivcheck.report.visible import visible

if TYPE_CHECKING:
    from equivcheck.findings import Finding
    from equivcheck.report.model import Report


def render(report: Report) -> str:
    """The report as JUnit XML, in the dialect that Jenkins and GitLab read.

    An error of a check is a failure. Warnings, notes and cleared differences passed, and say so in their output. The
    verdict is a test case of its own: it fails where the curves differ although no check says why, and is an error
    where the run is inconclusive.
    """
    cases = [_verdict(report), *(_finding(report, finding) for finding in ranked(report.findings))]
    for difference in report.cleared:
        cases.append(case := _case(report, f"{difference.code} {difference.name}"))
        _text(case, "system-out", f"cleared: {difference.message}\nmeasured: {measured(difference.measured)}")
    for skipped in report.skipped:
        cases.append(case := _case(report, skipped.code))
        SubElement(case, "skipped", message=visible(skipped.reason))
    counts = Counter(child.tag for case in cases for child in case)
    totals = {"tests": str(len(cases))} | {
        name: str(counts[tag]) for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    totals["time"] = f"{sum(report.seconds.values()):.3f}"
    root = Element("testsuites", {"name": "equivcheck", **totals})
    suite = SubElement(root, "testsuite", {"name": visible(report.name), **totals})
    _properties(suite, {"verdict": report.verdict, **report.versions})
    suite.extend(cases)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _verdict(report: Report) -> Element:
    case = _case(report, "verdict")
    explained = any(finding.severity == "error" for finding in report.findings)
    if report.verdict == "inconclusive":
        _text(case, "error", report.summary, message="inconclusive")
    elif report.verdict == "divergent" and not explained:
        _text(case, "failure", report.summary, message="divergent, and no check says why")
    else:
        _text(case, "system-out", report.summary)
    return case


def _finding(report: Report, finding: Finding) -> Element:
    case = _case(report, f"{finding.code} {finding.name} ({arm_of(finding)})")
    place = place_of(finding)
    if place.file:
        case.set("file", visible(place.file))
    if place.line is not None:
        case.set("line", str(place.line))
    _properties(
        case,
        {
            "code": finding.code,
            "severity": finding.severity,
            "share": "" if finding.share is None else repr(float(finding.share)),
            "verdict": report.verdict,
        },
    )
    if finding.severity == "error":
        _text(case, "failure", _body(report, finding), message=finding.title, type=finding.code)
    else:
        _text(case, "system-out", f"{finding.severity}: {finding.title}\n{_body(report, finding)}")
    return case


def _body(report: Report, finding: Finding) -> str:
    told = {
        "where": " · ".join(part for part in (arm_of(finding), in_file(finding), place_of(finding).layer) if part),
        "measured": measured(finding.measured),
        "expected": finding.expected,
        "share": share_of(finding, report.attribution),
        "repair": finding.repair.text if finding.repair else "",
        "verified": VERIFIED[finding.verified] if finding.repair else "",
    }
    patch = patch_of(finding)
    lines = [finding.message, *(f"{label}: {text}" for label, text in told.items() if text)]
    return "\n".join([*lines, *(["patch of the spec:", patch] if patch else [])])


def _case(report: Report, name: str) -> Element:
    # A class name with dots would be taken for packages.
    return Element("testcase", classname=f"equivcheck.{visible(report.name).replace('.', '_')}", name=visible(name))


def _properties(parent: Element, values: dict[str, str]) -> None:
    properties = SubElement(parent, "properties")
    for name, value in values.items():
        SubElement(properties, "property", name=visible(name), value=visible(value))


def _text(parent: Element, tag: str, text: str, **attributes: str) -> None:
    safe = {name: visible(value) for name, value in attributes.items()}
    # XML has no way to write control characters, so they are made visible.
    SubElement(parent, tag, safe).text = visible(text, keep_lines=True)
