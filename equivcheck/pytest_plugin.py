"""The pytest plugin: ``*.equiv.yaml`` files as tests, a marker and fixtures for tests in Python.

Pytest loads this file in every run of every project that has equivcheck installed. So it imports pytest and nothing
else; what does the work is in ``testing/`` and is imported when there is a spec to test.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from equivcheck.report.model import Report
    from equivcheck.testing.items import SpecFile

_MARKER = (
    "equivcheck(spec, select=(), ignore=()): the test fails unless the two arms of this spec train alike; "
    "the path is relative to the root folder"
)

#: Read where there is one.
_BASELINE = "equivcheck-baseline.yaml"

#: Where the processes of pytest-xdist share the runs of a session; only the one that started them has it.
_SHARED = pytest.StashKey[Path]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options, and ini keys of the same names."""
    group = parser.getgroup("equivcheck", "equivcheck: specs as tests")
    group.addoption("--equivcheck-select", action="append", metavar="CODES", help="only these checks: EQ401, EQ4, ...")
    group.addoption("--equivcheck-ignore", action="append", metavar="CODES", help="all but these checks")
    group.addoption(
        "--equivcheck-baseline", metavar="FILE", help="accepted differences (default: equivcheck-baseline.yaml, if any)"
    )
    group.addoption("--equivcheck-fail-on", metavar="SEVERITY", help="error (the default), warning or note")
    group.addoption("--equivcheck-budget", metavar="SECONDS", help="time for counterfactual trainings (default: 120)")
    group.addoption("--equivcheck-no-replay", action="store_true", help="no counterfactual trainings, so no shares")
    group.addoption("--equivcheck-reports", metavar="DIR", help="write the report of each spec into this folder")
    parser.addini("equivcheck_files", "which files are specs", type="args", default=["*.equiv.yaml"])
    parser.addini("equivcheck_select", "codes or prefixes of the checks to run", type="args", default=[])
    parser.addini("equivcheck_ignore", "codes or prefixes of checks to leave out", type="args", default=[])
    parser.addini("equivcheck_baseline", "file of accepted differences, in the root folder", default=_BASELINE)
    parser.addini("equivcheck_fail_on", "least severity that fails a test: error, warning or note", default="error")
    parser.addini("equivcheck_budget", "seconds for counterfactual trainings", default="")
    parser.addini("equivcheck_replay", "whether to train counterfactuals", type="bool", default=True)


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and refuses options that make no sense before anything is collected."""
    config.addinivalue_line("markers", _MARKER)
    if _is_used(config):
        from equivcheck.testing.options import options_of  # noqa: PLC0415  (a run that uses nothing of it pays nothing)

        options_of(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Removes what the workers shared."""
    if _SHARED in config.stash:
        import shutil  # noqa: PLC0415

        shutil.rmtree(config.stash[_SHARED], ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells each worker of pytest-xdist where the session's runs are shared."""
    if _SHARED not in node.config.stash:
        import tempfile  # noqa: PLC0415

        node.config.stash[_SHARED] = Path(tempfile.mkdtemp(prefix="equivcheck-"))
    node.workerinput["equivcheck_folder"] = str(node.config.stash[_SHARED])


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SpecFile | None:
    """Specs, by the pattern of their names."""
    if not any(file_path.match(pattern) for pattern in parent.config.getini("equivcheck_files")):
        return None
    from equivcheck.testing.items import SpecFile  # noqa: PLC0415

    return SpecFile.from_parent(parent, path=file_path)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Checks the spec of a marked test before its body runs."""
    if item.get_closest_marker("equivcheck") is not None:
        from equivcheck.testing.marked import check_marked  # noqa: PLC0415

        check_marked(item)


@pytest.fixture
def equivcheck_report(request: pytest.FixtureRequest) -> Report:
    """The report of the spec that the test is marked with."""
    from equivcheck.testing.marked import report_of_marked  # noqa: PLC0415

    return report_of_marked(request.node)


@pytest.fixture
def equivcheck_run(request: pytest.FixtureRequest) -> Callable[[str | Path], Report]:
    """A function from a spec to its report. A spec is run once in a session, whoever asks for it."""
    from equivcheck.testing.marked import report_of  # noqa: PLC0415

    return lambda spec: report_of(request.node, spec)


def _is_used(config: pytest.Config) -> bool:
    """Whether anything but the defaults is asked for."""
    if any(value for name, value in vars(config.option).items() if name.startswith("equivcheck_")):
        return True
    if any(config.getini(f"equivcheck_{key}") for key in ("select", "ignore", "budget")):
        return True
    baseline = config.getini("equivcheck_baseline")
    severe = config.getini("equivcheck_fail_on") != "error"
    return bool(severe or baseline != _BASELINE or (config.rootpath / baseline).exists())
