"""What a test run asks for: options of the command line, which outweigh the keys of the ini file."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from equivcheck.catalog import matches, names
from equivcheck.errors import InputError
from equivcheck.findings import SEVERITIES, Finding, Severity
from equivcheck.testing.baseline import Accepted, read_baseline

#: The baseline that need not be there; the default of the ini key says the same.
BASELINE = "equivcheck-baseline.yaml"


class EquivcheckWarning(pytest.PytestWarning):
    """Something that does not fail a test and should be looked at."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one test run.

    Attributes:
        select: Codes or prefixes of the checks that are tests; all where empty.
        ignore: Codes or prefixes of checks that are none.
        fail_on: The least severity that fails a test.
        replay: Whether to train counterfactuals.
        budget: Seconds after which no further one is begun; None for the default of a run.
        reports: Folder for the reports, or None.
        accepted: Known differences.
    """

    select: tuple[str, ...]
    ignore: tuple[str, ...]
    fail_on: Severity
    replay: bool
    budget: float | None
    reports: Path | None
    accepted: tuple[Accepted, ...]

    def chosen(self, code: str) -> bool:
        """Whether a check is to be a test."""
        return (not self.select or matches(code, self.select)) and not matches(code, self.ignore)

    def fails(self, finding: Finding) -> bool:
        """Whether a finding is severe enough to fail a test."""
        return SEVERITIES.index(finding.severity) <= SEVERITIES.index(self.fail_on)

    def accepted_in(self, spec: Path) -> tuple[Accepted, ...]:
        """The known differences of one spec."""
        return tuple(entry for entry in self.accepted if entry.spec == spec.resolve())


_OPTIONS = pytest.StashKey[Options]()


def options_of(config: pytest.Config) -> Options:
    """The options of this run, read once.

    Raises:
        pytest.UsageError: One of them makes no sense.
    """
    if _OPTIONS not in config.stash:
        accepted = _baseline(config)
        config.stash[_OPTIONS] = Options(
            select=codes(_given(config, "select"), "equivcheck_select"),
            ignore=codes(_given(config, "ignore"), "equivcheck_ignore"),
            fail_on=_severity(config.getoption("equivcheck_fail_on") or config.getini("equivcheck_fail_on")),
            replay=config.getini("equivcheck_replay") and not config.getoption("equivcheck_no_replay"),
            budget=_seconds(config.getoption("equivcheck_budget") or config.getini("equivcheck_budget")),
            reports=_folder(config),
            accepted=accepted,
        )
        if not hasattr(config, "workerinput"):  # each worker of pytest-xdist reads the same file
            _warn_of_lost_specs(config, accepted)
    return config.stash[_OPTIONS]


def codes(patterns: list[str] | tuple[str, ...], name: str) -> tuple[str, ...]:
    """Codes or prefixes, each of which must be known; several may be joined by commas.

    Raises:
        pytest.UsageError: No check has such a code.
    """
    found = tuple(part.strip().upper() for pattern in patterns for part in pattern.split(",") if part.strip())
    for pattern in found:
        if not any(matches(code, (pattern,)) for code in names()):
            raise pytest.UsageError(
                f"{name}: no check has a code that starts with {pattern!r}; equivcheck checks lists all"
            )
    return found


def _given(config: pytest.Config, name: str) -> list[str]:
    return list(config.getoption(f"equivcheck_{name}") or config.getini(f"equivcheck_{name}"))


def _severity(text: str) -> Severity:
    for severity in SEVERITIES:
        if severity == text:
            return severity
    raise pytest.UsageError(f"equivcheck_fail_on: {text!r} is none of {', '.join(SEVERITIES)}")


def _seconds(text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise pytest.UsageError(f"equivcheck_budget: {text!r} is no number of seconds")
    return seconds


def _folder(config: pytest.Config) -> Path | None:
    given = config.getoption("equivcheck_reports")
    if not given:
        return None
    folder = Path(config.invocation_params.dir, given)
    if folder.exists() and not folder.is_dir():
        raise pytest.UsageError(f"--equivcheck-reports: {given} is not a folder")
    return folder


def _baseline(config: pytest.Config) -> tuple[Accepted, ...]:
    named = config.getoption("equivcheck_baseline")
    written = config.getini("equivcheck_baseline")
    path = Path(config.invocation_params.dir, named) if named else Path(config.rootpath, written)
    if not (named or path.exists() or written != BASELINE):
        return ()
    if not path.is_file():
        raise pytest.UsageError(f"equivcheck_baseline: there is no file {path}")
    try:
        return read_baseline(path)
    except InputError as error:
        raise pytest.UsageError(str(error)) from None


def _warn_of_lost_specs(config: pytest.Config, accepted: tuple[Accepted, ...]) -> None:
    for entry in accepted:
        if not entry.spec.exists():
            said = f"{entry.place}: no longer applies: there is no {entry.spec}; remove the entry"
            with warnings.catch_warnings():
                # A stale line is no reason to run no test, not even where warnings are errors.
                warnings.simplefilter("always")
                config.issue_config_time_warning(EquivcheckWarning(said), stacklevel=2)
