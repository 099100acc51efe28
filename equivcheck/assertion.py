"""``assert_equivalent``: a run as one assertion, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from equivcheck.catalog import matches
from equivcheck.findings import Finding
from equivcheck.pipeline import run
from equivcheck.report.curve_gap import METRIC_NAMES, gap
from equivcheck.report.model import Report
from equivcheck.report.numbers import is_accuracy, points
from equivcheck.report.visible import visible


def assert_equivalent(spec: str | Path, *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> None:
    """Asserts that the two arms of a spec train alike.

    Every check judges, whatever is selected or ignored: only so can curves that differ because of an ignored cause be
    told from curves that differ and nobody knows why. The latter fail too, unless checks were selected.

    Args:
        spec: The spec.
        select: Codes or prefixes of the checks whose errors fail; all where empty.
        ignore: Codes or prefixes of checks whose errors do not fail.

    Raises:
        AssertionError: The arms differ, or could not be judged; the message is the short diagnosis.
        SpecError: The spec, or a file it names, cannot be used.
        UserCodeError: A callable of the spec raised.
        InconclusiveError: The arms could not be compared.
    """
    __tracebackhide__ = True  # pytest then shows the line of the test, not ours
    # One string would be taken for its letters, and "E" starts every code.
    chosen, left_out = ((patterns,) if isinstance(patterns, str) else tuple(patterns) for patterns in (select, ignore))
    said = complaint(run(spec), select=chosen, ignore=left_out)
    if said is not None:
        raise AssertionError(said)


def complaint(
    report: Report,
    *,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    accepted: Callable[[Finding], bool] = lambda _finding: False,
) -> str | None:
    """The short diagnosis of a report that does not pass; None of one that does.

    Args:
        report: The finished run, in which every check judged.
        select: Codes or prefixes of the checks whose errors count; all where empty.
        ignore: Codes or prefixes of checks whose errors do not count.
        accepted: Whether an error is a known difference.
    """
    errors = [finding for finding in report.findings if finding.severity == "error"]
    failing = [
        error
        for error in errors
        if (not select or matches(error.code, select)) and not matches(error.code, ignore) and not accepted(error)
    ]
    unexplained = report.verdict == "divergent" and not errors and not select
    if failing or unexplained or report.verdict == "inconclusive":
        return diagnosis(report, failing)
    return None


def diagnosis(report: Report, errors: Sequence[Finding]) -> str:
    """The verdict in one line and one line per error; the summary where no error says why.

    Args:
        report: The finished run.
        errors: Those of its findings that are to be told.
    """
    lines = [_verdict(report), *(_line(error) for error in errors)]
    if not errors:
        lines.append(report.summary)
    return "\n".join(_one_line(line) for line in lines)


def _verdict(report: Report) -> str:
    gaps = (gap(report.curves, metric) for metric in METRIC_NAMES if is_accuracy(metric))
    found = next((each for each in gaps if each is not None), None)
    tail = f", gap of final {METRIC_NAMES[found.metric]} {points(100 * found.final)}" if found else ""
    return f"{report.name} is {report.verdict}{tail}"


def _line(error: Finding) -> str:
    parts = [f"{error.code} {error.title}.", error.message]
    if error.repair is not None:
        parts.append(f"Repair: {error.repair.text}")
    if error.location is not None:
        parts.append(f"At {error.location}")
    return " ".join(parts)


def _one_line(text: str) -> str:
    """Names in messages come from data and user code; none may break the line or repaint a terminal."""
    return visible(" ".join(text.split()))
