"""The report's JSON contract, version 1, written as dataclasses: the order of the fields is the order of the keys.

``json_format.py`` writes and reads these, ``schema.py`` describes them, so that the contract stands in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from equivcheck.findings import ADDED, Cleared, Finding, Repair, Severity, Side, Skipped
from equivcheck.location import Location
from equivcheck.measured import (
    Attribution,
    Curve,
    FirstDivergence,
    LayerRow,
    ParameterCount,
    PhaseSpan,
    Setting,
    WhatIf,
)
from equivcheck.report.model import REPORT_VERSION, Report, Verdict


@dataclass(frozen=True, slots=True)
class FindingEntry:
    """A judged defect.

    Attributes:
        code: Code of the check, such as ``EQ401``.
        name: Name of the check, such as ``dropout-active-in-backbone``.
        severity: ``error`` makes the arms train differently; ``warning`` is a defect that both arms share or
            that will bite later; ``note`` is worth knowing.
        arm: Which arm has the defect.
        title: The defect in one line.
        message: What was measured and why it separates the curves, in plain words.
        measured: Numbers, with their units in their names.
        expected: What an equivalent pair would have shown.
        location: Where it stands; each part is null where it is not known.
        repair: How it is undone; null where nothing can be advised.
        verified: Whether the finding was gone after the repair was applied; null where that was not tried.
        share: How much of the gap it makes, in the unit of the attribution's metric; null where not known.
        phases: Names of the phases of the training that it was found in; empty where there is only one.
    """

    code: str
    name: str
    severity: Severity
    arm: Side
    title: str
    message: str
    measured: Mapping[str, Any]
    expected: str
    location: Location
    repair: Repair | None
    verified: bool | None
    share: float | None
    phases: tuple[str, ...] = field(default=(), metadata={ADDED: True})


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and how the two arms ran.

    Attributes:
        versions: Name of each package, and its version.
        machine: Facts about the machine, such as its platform and its devices.
        settings: The settings of both arms, side by side.
    """

    versions: Mapping[str, str]
    machine: Mapping[str, Any]
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """All that one run of equivcheck found.

    Attributes:
        version: Version of this format.
        name: Name of the spec.
        verdict: Whether the two arms are the same computation.
        summary: The answer in one paragraph of plain words.
        findings: Judged defects.
        cleared: Differences that were measured and found harmless.
        skipped: Checks that did not judge, and why.
        layers: The aligned layers of both arms, in execution order.
        first_divergence: First layer whose outputs differ on identical batches.
        parameters: Weights of each arm, by arm.
        curves: One metric of one training each.
        attribution: How the gap divides among the causes; null where nothing was retrained.
        observed: Curves that the user already had.
        environment: Where and how the two arms ran.
        seconds: Wall-clock seconds by stage; not part of what two runs must agree on.
        phases: The phases of the training, in order; empty where there is only one. Where nothing else is said, what
            was measured layer by layer is of the first.
        what_if: What came of following each advice of the spec.
    """

    version: Literal[1]
    name: str
    verdict: Verdict
    summary: str
    findings: tuple[FindingEntry, ...]
    cleared: tuple[Cleared, ...]
    skipped: tuple[Skipped, ...]
    layers: tuple[LayerRow, ...]
    first_divergence: FirstDivergence
    parameters: Mapping[str, ParameterCount]
    curves: tuple[Curve, ...]
    attribution: Attribution | None
    observed: Mapping[str, Any]
    environment: Environment
    seconds: Mapping[str, float]
    phases: tuple[PhaseSpan, ...] = field(default=(), metadata={ADDED: True})
    what_if: tuple[WhatIf, ...] = field(default=(), metadata={ADDED: True})


def from_report(report: Report) -> Document:
    """The report in the shape of the contract."""
    return Document(
        version=REPORT_VERSION,
        name=report.name,
        verdict=report.verdict,
        summary=report.summary,
        findings=tuple(_entry(finding) for finding in report.findings),
        cleared=report.cleared,
        skipped=report.skipped,
        layers=report.layers,
        first_divergence=report.first_divergence,
        parameters=report.parameters,
        curves=report.curves,
        attribution=report.attribution,
        observed=report.observed,
        environment=Environment(report.versions, report.machine, report.settings),
        seconds=report.seconds,
        phases=report.phases,
        what_if=report.what_if,
    )


def to_report(document: Document) -> Report:
    """The report that a document describes; a finding's spec key is not part of the contract, so it is gone."""
    return Report(
        name=document.name,
        verdict=document.verdict,
        summary=document.summary,
        findings=tuple(_finding(entry) for entry in document.findings),
        cleared=document.cleared,
        skipped=document.skipped,
        layers=document.layers,
        first_divergence=document.first_divergence,
        parameters=document.parameters,
        curves=document.curves,
        attribution=document.attribution,
        observed=document.observed,
        versions=document.environment.versions,
        machine=document.environment.machine,
        settings=document.environment.settings,
        seconds=document.seconds,
        phases=document.phases,
        what_if=document.what_if,
    )


def _entry(finding: Finding) -> FindingEntry:
    return FindingEntry(
        code=finding.code,
        name=finding.name,
        severity=finding.severity,
        arm=finding.arm,
        title=finding.title,
        message=finding.message,
        measured=finding.measured,
        expected=finding.expected,
        location=finding.location or Location(layer=finding.layer),
        repair=finding.repair,
        verified=finding.verified,
        share=finding.share,
        phases=finding.phases,
    )


def _finding(entry: FindingEntry) -> Finding:
    return Finding(
        code=entry.code,
        name=entry.name,
        severity=entry.severity,
        arm=entry.arm,
        title=entry.title,
        message=entry.message,
        measured=entry.measured,
        expected=entry.expected,
        repair=entry.repair,
        layer=entry.location.layer,
        location=None if entry.location == Location() else entry.location,
        verified=entry.verified,
        share=entry.share,
        phases=entry.phases,
    )
