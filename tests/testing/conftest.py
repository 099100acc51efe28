"""Projects with specs whose runs are given, so that no model is built."""

from __future__ import annotations

from dataclasses import replace

import pytest

from equivcheck.findings import Cleared, Finding, Repair, Skipped
from equivcheck.location import Location
from equivcheck.report.json_format import dumps
from equivcheck.report.model import Report

SPEC = """\
version: 1
bottleneck: {callable: "json:loads"}
frozen:
  callable: "json:loads"
"""

#: Stands in for the pipeline in the project under test: what a run gives lies beside its spec, and each run is noted.
STAND_IN = """
import os, sys, time, types, warnings
from pathlib import Path

def run(path, **options):
    from equivcheck.errors import InconclusiveError, SpecError, UserCodeError
    from equivcheck.report.json_format import loads
    with open(ROOT / "runs.log", "a") as log:
        log.write(f"{path.relative_to(ROOT).as_posix()} {os.environ.get('PYTEST_XDIST_WORKER', '')} {options}\\n")
    print("Epoch 1/1")
    warnings.warn("as Keras warns", DeprecationWarning)
    time.sleep(float(os.environ.get("SECONDS_A_RUN", 0)))
    raising = path.with_suffix(".raises")
    if raising.exists():
        exec(raising.read_text())
    return loads(path.with_suffix(".json").read_text(encoding="utf-8"))

ROOT = Path(__file__).parent
stand_in = types.ModuleType("equivcheck.pipeline")
stand_in.run, stand_in.BUDGET = run, 120.0
sys.modules["equivcheck.pipeline"] = stand_in
"""


def finding(code="EQ401", severity="error", **more):
    given = {
        "arm": "frozen",
        "title": "Dropout is active",
        "message": "The layer sets\nhalf of the activations to zero.",
        "measured": {"dropped_fraction": 0.504},
        "repair": Repair("Call it in inference mode.", {"frozen.backbone.call": "inference"}),
        "location": Location(None, 3, 1, "base/dropout"),
    }
    return Finding(code=code, name="some-defect", severity=severity, expected="none", **{**given, **more})


class Project:
    """A project under test.

    Attributes:
        pytester: Runs pytest in it.
        path: Its root.
    """

    def __init__(self, pytester):
        self.pytester, self.path = pytester, pytester.path
        pytester.makeconftest(STAND_IN)
        pytester.makeini("[pytest]\n")

    finding = staticmethod(finding)

    def spec(self, name="a.equiv.yaml", *findings, verdict=None, cleared=(), skipped=(), raises=None, text=SPEC):
        """A spec and what its run gives."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if raises is not None:
            path.with_suffix(".raises").write_text(raises, encoding="utf-8")
            return path
        placed = tuple(
            each
            if each.location is None or each.location.file
            else replace(each, location=replace(each.location, file=str(path)))
            for each in findings
        )
        errors = any(each.severity == "error" for each in findings)
        report = Report(
            name=path.stem,
            verdict=verdict or ("divergent" if errors else "equivalent"),
            summary=f"The summary of {path.stem}.",
            findings=placed,
            cleared=tuple(Cleared(code, "some-defect", "the same loss") for code in cleared),
            skipped=tuple(Skipped(code, reason) for code, reason in dict(skipped).items()),
        )
        path.with_suffix(".json").write_text(dumps(report), encoding="utf-8")
        return path

    def baseline(self, *entries, name="equivcheck-baseline.yaml"):
        """A baseline of entries as YAML flow mappings."""
        text = "version: 1\naccepted:\n" + "".join(f"  - {entry}\n" for entry in entries)
        (self.path / name).write_text(text, encoding="utf-8")

    def run(self, *arguments):
        """Pytest in a process of its own."""
        return self.pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    @property
    def runs(self):
        """The runs that there were: name of the spec, worker, options."""
        log = self.path / "runs.log"
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [tuple(line.split(" ", 2)) for line in lines]


@pytest.fixture
def project(pytester):
    """An empty project."""
    return Project(pytester)
