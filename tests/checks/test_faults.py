"""Every check on a clean spec, on that spec broken, and on the broken one repaired: its own fault is its test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from equivcheck.catalog import all_checks
from equivcheck.spec import load, resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

DOCUMENT = load(Path(__file__).parents[2] / "fixtures" / "clean" / "spec.yaml").patched({"training.epochs": 1})
CHECKS = {check.code: check for check in all_checks()}

#: Judged as warnings or notes: both arms share the defect, or it is in a log, so they still train alike.
WARNINGS = {check.code for check in CHECKS.values() if check.severity != "error"} | {"EQ208"}
#: Repaired in the user's own code: no spec key can do it.
BY_WORDS = {"EQ405", "EQ503", "EQ509", "EQ608", "EQ705"}


@pytest.fixture(scope="module")
def laboratory(tensorflow, tmp_path_factory):
    """A laboratory that measures the same two arms only once: most repairs lead back to the clean spec."""
    from equivcheck.arms.build import Builder
    from equivcheck.laboratory import Laboratory

    class Remembering(Laboratory):
        measured: ClassVar[dict] = {}

        def probe(self, experiment, before=None, mends=()):
            key = repr((experiment.bottleneck, experiment.frozen, experiment.observed, mends))
            if key not in self.measured:
                self.measured[key] = super().probe(experiment, before, mends)
            return self.measured[key]

    builder = Builder(resolve(DOCUMENT), tmp_path_factory.mktemp("cache"))
    return Remembering(all_checks(), builder, lambda *_: None)


@pytest.fixture(scope="module")
def probe(laboratory):
    """Measures the clean spec with patches applied."""
    unbroken = laboratory.probe(resolve(DOCUMENT))

    def measure(*patches):
        document = DOCUMENT
        for patch in patches:
            document = document.patched(patch)
        return laboratory.probe(resolve(document), before=unbroken)

    return measure


@pytest.fixture(scope="module", params=CHECKS)
def check(request):
    return CHECKS[request.param]


@pytest.fixture(scope="module")
def judge(laboratory, probe, check):
    """Measures; and trains, where the check judges what comes of that."""

    def judging(*patches):
        probed = probe(*patches)
        return laboratory.judge_again(probed, laboratory.train(probed)) if check.subject == "training" else probed

    return judging


@pytest.fixture(scope="module")
def clean(judge, check):
    return judge(check.fault.start)


@pytest.fixture(scope="module")
def faulty(judge, check):
    return judge(check.fault.start, check.fault.patch)


@pytest.fixture(scope="module")
def trial(laboratory, faulty):
    return laboratory.try_repairs(faulty, ())


def codes(findings):
    return {finding.code for finding in findings}


def test_a_clean_pipeline_is_silent(clean):
    assert clean.examination.findings == ()
    assert clean.examination.failed == ()


def test_the_fault_fires_exactly_its_check(check, faulty):
    assert faulty.examination.failed == ()
    if check.code in WARNINGS:
        assert codes(faulty.examination.findings) == {check.code}
        assert faulty.errors == ()
    else:
        assert codes(faulty.errors) == {check.code, *check.fault.also}


def test_the_repair_silences_it_and_uncovers_nothing(check, faulty, trial, laboratory):
    """The pipeline tries errors by itself; a warning's patch is applied here."""
    if check.code in WARNINGS:
        (finding,) = trial.findings
        assert finding.verified is None
        if finding.repair.patch is None:
            return  # no spec key can express it
        repaired = faulty.experiment.document.patched(finding.repair.patch)
        assert laboratory.probe(resolve(repaired)).examination.findings == ()
        return
    errors = [finding for finding in trial.findings if finding.severity == "error"]
    assert codes(errors) == codes(faulty.errors)
    for finding in errors:
        # What no key of a spec can express, code above all, is repaired by words, which nothing can try.
        assert finding.verified is (True if finding.repair.patch is not None else None)
    assert any(finding.verified for finding in errors) or check.code in BY_WORDS


def test_the_finding_says_what_where_and_what_to_do(check, faulty, tmp_path):
    (finding,) = (found for found in faulty.examination.findings if found.code == check.code)
    assert (finding.name, finding.title) == (check.name, check.title)
    assert finding.message.endswith(".")
    assert finding.measured
    assert finding.repair.text == check.advice
    # The fault as a person would have written it: a file with a line for each key.
    written = tmp_path / "spec.yaml"
    written.write_text(json.dumps(faulty.experiment.document.data, indent=2), encoding="utf-8")
    experiment = resolve(load(written))
    line = experiment.locate(finding.arm, finding.key).line
    places = experiment.document.places
    keys = [key for key, value in {**check.fault.start, **check.fault.patch}.items() if value is not None]
    # A key, or the section that it stands in: a network as a whole is at fault, whichever key says where it is from.
    assert line in {places[part].line for key in keys for part in (key, key.rpartition(".")[0]) if part in places}


def test_a_finding_is_plain_data(check, faulty):
    """It goes into JSON, so no live object and no NumPy scalar may hide in it."""
    from equivcheck.report.json_values import to_json

    for finding in faulty.examination.findings:
        json.dumps(to_json(finding), allow_nan=False)
        assert all(type(value).__module__ == "builtins" for value in finding.measured.values()), finding.measured
