"""Tests in Python that are marked with a spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from equivcheck.assertion import complaint
from equivcheck.report.model import Report
from equivcheck.testing.items import specs_of
from equivcheck.testing.options import codes, options_of
from equivcheck.testing.runs import runs_of
from equivcheck.testing.telling import lines

_USAGE = 'expected @pytest.mark.equivcheck(spec="path/of/spec.yaml", select=[...], ignore=[...])'


def check_marked(item: pytest.Item) -> None:
    """Fails the test with the short diagnosis unless the arms of its spec train alike."""
    spec, select, ignore = _arguments(item)
    report = report_of(item, spec)
    options = options_of(item.config)
    accepted = options.accepted_in(_path(item, spec))
    said = complaint(
        report,
        select=select or options.select,
        ignore=(*ignore, *options.ignore),
        accepted=lambda finding: any(entry.covers(finding) for entry in accepted),
    )
    item.user_properties.append(("equivcheck_verdict", report.verdict))
    item.user_properties += [
        ("equivcheck_code", finding.code) for finding in report.findings if finding.severity == "error"
    ]
    if said is not None:
        pytest.fail(said, pytrace=False)


def report_of_marked(item: pytest.Item) -> Report:
    """The report of the spec that a test is marked with."""
    if item.get_closest_marker("equivcheck") is None:
        pytest.fail(f"equivcheck_report: {item.name} has no marker; {_USAGE}", pytrace=False)
    return report_of(item, _arguments(item)[0])


def report_of(item: pytest.Item, spec: str | Path) -> Report:
    """The report of a spec, run once in a session."""
    ran = runs_of(item.config).of(_path(item, spec), specs_of(item.session))
    if ran.report is None:
        pytest.fail(f"{spec}: the run failed\n{lines(ran.failure)}", pytrace=False)
    return ran.report


def _path(item: pytest.Item, spec: str | Path) -> Path:
    return item.config.rootpath / spec


def _arguments(item: pytest.Item) -> tuple[str | Path, tuple[str, ...], tuple[str, ...]]:
    """The marker's arguments, told plainly where they are wrong."""
    marker = item.get_closest_marker("equivcheck")
    assert marker is not None
    given = dict(zip(("spec", "select", "ignore"), marker.args, strict=False)) | dict(marker.kwargs)
    if len(marker.args) > len(("spec", "select", "ignore")) or given.keys() - {"spec", "select", "ignore"}:
        pytest.fail(f"{item.name}: the marker takes spec, select and ignore; {_USAGE}", pytrace=False)
    spec = given.get("spec")
    if not isinstance(spec, str | Path):
        pytest.fail(f"{item.name}: the marker names no spec; {_USAGE}", pytrace=False)
    try:
        return spec, *(codes(_listed(given.get(name, ())), f"the marker's {name}") for name in ("select", "ignore"))  # type: ignore[return-value]
    except pytest.UsageError as error:
        pytest.fail(f"{item.name}: {error}", pytrace=False)


def _listed(patterns: str | Sequence[str]) -> tuple[str, ...]:
    # One string would be taken for its letters, and "E" starts every code.
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)
