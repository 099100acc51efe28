"""A spec as a file of tests: one for the verdict and one for each check."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from equivcheck.catalog import check_of, names
from equivcheck.errors import InputError
from equivcheck.report.model import Report
from equivcheck.spec import load, recording
from equivcheck.testing.judging import Outcome, judge_check, judge_verdict
from equivcheck.testing.options import EquivcheckWarning, options_of
from equivcheck.testing.runs import runs_of
from equivcheck.testing.telling import lines, one_line, shortened_paths, shown_path, told, told_shortly


class SpecFile(pytest.File):
    """One spec. It is read when it is collected, and run when the first of its tests is."""

    def collect(self) -> Iterator[SpecTest]:
        """One test for the verdict, then one for each check."""
        try:
            options, document = options_of(self.config), load(self.path)
        except InputError as error:
            folder = self.config.invocation_params.dir
            raise self.CollectError(lines(shortened_paths(str(error), self.path, folder))) from None
        if not self.config.pluginmanager.hasplugin(_SKIPS):
            self.config.pluginmanager.register(PlacedSkips(), _SKIPS)
        yield VerdictTest.from_parent(self, name="verdict")
        only_logs = recording(document) is not None
        for code, name in names().items():
            if options.chosen(code) and (not only_logs or check_of(code).subject == "logs"):
                yield CheckTest.from_parent(self, name=f"{code}-{name}", code=code)


class SpecTest(pytest.Item):
    """One test of a spec."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        if self.config.pluginmanager.hasplugin("xdist"):
            self.add_marker(pytest.mark.xdist_group(self.path.as_posix()))

    def judge(self, report: Report) -> Outcome:
        """What the run says of this test."""
        raise NotImplementedError

    def runtest(self) -> None:
        """Runs the spec, unless that was done, and looks at this test's part of the report."""
        runs = runs_of(self.config)
        ran = runs.of(self.path, specs_of(self.session))
        if ran.report is None:
            self._not_run(ran.failure, first=runs.is_first(self.path))
        assert ran.report is not None
        outcome = self.judge(ran.report)
        self.user_properties += _properties(ran.report, outcome)
        self._mention(ran.report, outcome)
        if outcome.kind == "skipped":
            pytest.skip(one_line(outcome.reason))
        if outcome.kind == "accepted":
            pytest.xfail(one_line(outcome.reason))
        if outcome.kind != "passed":
            pytest.fail(self._diagnosis(ran.report, outcome), pytrace=False)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Headline of a failure."""
        return self.path, 0, f"{self._shown()} {self.name}"

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any, **__: Any) -> Any:
        """A warning that is made an error has no traceback worth reading either."""
        if isinstance(excinfo.value, EquivcheckWarning):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def _not_run(self, failure: str, *, first: bool) -> None:
        self.user_properties.append(("equivcheck_verdict", "inconclusive"))
        if not first:
            pytest.skip("the run failed, as another test of this spec tells")
        said = lines(shortened_paths(failure, self.path, self._folder))
        pytest.fail(f"{self._shown()}: the run failed\n{said}", pytrace=False)

    def _diagnosis(self, report: Report, outcome: Outcome) -> str:
        if not outcome.findings:
            return one_line(f"{self._shown()}: {report.verdict}: {outcome.reason}")
        return "\n\n".join(told(report, finding, self.path, self._folder) for finding in outcome.findings)

    def _mention(self, report: Report, outcome: Outcome) -> None:
        """What does not fail: warnings are pytest's, notes and cleared differences are shown on demand (-rP)."""
        for entry in outcome.stale:
            place = shown_path(Path(entry.place.file or ""), self._folder)
            said = f"{place}:{entry.place.line}: {entry.code} of {self._shown()} no longer applies; remove the entry"
            self.warn(EquivcheckWarning(one_line(said)))
        for finding in outcome.lesser:
            if finding.severity == "warning":
                self.warn(EquivcheckWarning(told_shortly(finding, self.path, self._folder)))
            else:
                self.add_report_section("call", "equivcheck", told(report, finding, self.path, self._folder))
        for cleared in report.cleared:
            if isinstance(self, CheckTest) and cleared.code == self.code:
                self.add_report_section("call", "equivcheck", one_line(f"measured and harmless: {cleared.message}"))

    def _shown(self) -> str:
        return shown_path(self.path, self._folder)

    @property
    def _folder(self) -> Path:
        return self.config.invocation_params.dir


class VerdictTest(SpecTest):
    """Fails where the arms could not be judged, or differ and no check says why."""

    def judge(self, report: Report) -> Outcome:
        """The verdict beyond what the checks say."""
        return judge_verdict(report, options_of(self.config))


class CheckTest(SpecTest):
    """One check of one spec."""

    def __init__(self, *, code: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.code = code

    def judge(self, report: Report) -> Outcome:
        """What this check says."""
        options = options_of(self.config)
        return judge_check(report, self.code, options, options.accepted_in(self.path))


class PlacedSkips:
    """A hook that is registered once there is a spec: a skip is told at the spec, not at the line of ours."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Puts the spec's path into the report of a skipped test."""
        report = yield
        if isinstance(item, SpecTest) and report.skipped and isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), 1, report.longrepr[2])
        return report


_SKIPS = "equivcheck-skips"


def specs_of(session: pytest.Session) -> Sequence[Path]:
    """The specs that the session runs, in order."""
    return tuple(dict.fromkeys(item.path for item in session.items if isinstance(item, SpecTest)))


def _properties(report: Report, outcome: Outcome) -> list[tuple[str, object]]:
    """What goes into JUnit XML, beside the text of a failure."""
    found: list[tuple[str, object]] = [("equivcheck_verdict", report.verdict)]
    for finding in (*outcome.findings, *outcome.lesser):
        found += [("equivcheck_code", finding.code), ("equivcheck_severity", finding.severity)]
        if finding.share is not None:
            found.append(("equivcheck_share", round(finding.share, 4)))
    return found
