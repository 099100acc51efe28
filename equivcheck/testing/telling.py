"""The short diagnosis that a failing test shows in place of a traceback."""

from __future__ import annotations

import os
from pathlib import Path

from equivcheck.findings import Finding, Repair
from equivcheck.location import Location
from equivcheck.report.model import Report
from equivcheck.report.numbers import measured, metric_share
from equivcheck.report.visible import shortened_words, visible
from equivcheck.spec import dump_patch

_VERIFIED = {
    True: "yes: the repair was applied and the finding was gone",
    False: "no: the repair was applied, but the finding was still there",
    None: "not tried",
}


def told(report: Report, finding: Finding, spec: Path, folder: Path) -> str:
    """Place, cause, measurement and repair of one finding, the place as editors and terminals know it.

    Args:
        report: The run.
        finding: One of its findings.
        spec: The spec, for a finding that has no line of it.
        folder: Paths are told relative to it.
    """
    layer = finding.location.layer if finding.location else finding.layer
    arm = "both arms" if finding.arm == "both" else f"{finding.arm} arm"
    rows = [
        ("where", f"{arm}, {layer}" if layer else arm),
        ("cause", finding.message),
        ("measured", measured(finding.measured)),
        ("share", _share(report, finding)),
        ("repair", finding.repair.text if finding.repair else ""),
        ("patch", _patch(finding.repair)),
        ("verified", _VERIFIED[finding.verified] if finding.repair and finding.repair.patch else ""),
        ("more", f"equivcheck explain {finding.code}"),
    ]
    return "\n".join([one_line(_head(finding, spec, folder)), *(_row(name, text) for name, text in rows if text)])


def told_shortly(finding: Finding, spec: Path, folder: Path) -> str:
    """Place, cause and measurement in one line."""
    return one_line(f"{_head(finding, spec, folder)}: {finding.message}")


def shortened_paths(text: str, path: Path, folder: Path) -> str:
    """The text with a path written as short as it can be."""
    return text.replace(str(path), shown_path(path, folder))


def shown_path(path: Path, folder: Path) -> str:
    """The path as short as it can be written from a folder."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:  # another drive
        return str(path)
    return relative if len(relative) < len(str(path)) else str(path)


def one_line(text: str) -> str:
    """Names in texts come from data and user code; none may break the line or repaint a terminal."""
    return shortened_words(visible(" ".join(text.split())))


def lines(text: str) -> str:
    """A text of several lines, made safe."""
    return shortened_words(visible(text, keep_lines=True))


def _head(finding: Finding, spec: Path, folder: Path) -> str:
    place = finding.location or Location()
    file = shown_path(Path(place.file) if place.file else spec, folder)
    at = f"{file}:{place.line}" if place.line else file
    return f"{at}: {finding.code} {finding.title}"


def _row(name: str, text: str) -> str:
    first, *rest = text.splitlines() if name == "patch" else [" ".join(text.split())]
    return "\n".join([f"  {name:9} {one_line(first)}", *(f"{'':12}{lines(line)}" for line in rest)])


def _share(report: Report, finding: Finding) -> str:
    if finding.share is None:
        return ""
    if report.attribution is None:
        return metric_share("accuracy", finding.share)
    metric, gap = report.attribution["metric"], report.attribution["gap"]
    return f"{metric_share(metric, finding.share)} of the gap of {metric_share(metric, gap)}"


def _patch(repair: Repair | None) -> str:
    return dump_patch(repair.patch).rstrip("\n") if repair is not None and repair.patch else ""
