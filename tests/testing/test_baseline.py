"""Known differences that are accepted with a reason."""

from __future__ import annotations

import pytest

from equivcheck.catalog import names
from equivcheck.errors import SpecError
from equivcheck.testing.baseline import read_baseline

TESTS = len(names()) + 1

ENTRY = '{spec: a.equiv.yaml, code: EQ401, reason: "we ship it like this"}'


def test_an_accepted_difference_is_expected_and_its_reason_told(project):
    project.spec("a.equiv.yaml", project.finding())
    project.baseline(ENTRY)
    result = project.run("-rx")
    result.assert_outcomes(xfailed=1, passed=TESTS - 1)
    result.stdout.fnmatch_lines(["XFAIL a.equiv.yaml::EQ401-* - *we ship it like this"])


def test_only_the_named_spec_code_and_arm_are_accepted(project):
    project.spec("a.equiv.yaml", project.finding(), project.finding("EQ104"))
    project.spec("b.equiv.yaml", project.finding())
    project.baseline('{spec: a.equiv.yaml, code: EQ401, arm: frozen, reason: "so"}')
    project.run().assert_outcomes(xfailed=1, failed=2, passed=2 * TESTS - 3)
    project.baseline('{spec: a.equiv.yaml, code: EQ401, arm: bottleneck, reason: "so"}')
    project.run().assert_outcomes(failed=3, passed=2 * TESTS - 3, warnings=3)


def test_an_accepted_warning_is_not_stale(project):
    project.spec("a.equiv.yaml", project.finding(severity="warning"))
    project.baseline(ENTRY)
    result = project.run()
    result.assert_outcomes(passed=TESTS, warnings=2)
    result.stdout.no_fnmatch_line("*no longer applies*")


def test_an_entry_that_no_longer_applies_is_warned_of(project):
    project.spec()
    project.baseline(ENTRY, '{spec: gone.equiv.yaml, code: EQ401, reason: "it was there once"}')
    result = project.run()
    result.assert_outcomes(passed=TESTS, warnings=3)
    result.stdout.fnmatch_lines(
        [
            "*baseline.yaml:4: no longer applies: there is no *gone.equiv.yaml; remove the entry",
            "*baseline.yaml:3: EQ401 of a.equiv.yaml no longer applies; remove the entry",
        ]
    )


def test_what_did_not_judge_makes_no_entry_stale(project):
    project.spec("a.equiv.yaml", project.finding("EQ406"), skipped={"EQ401": "a consequence of EQ406"})
    project.baseline(ENTRY)
    result = project.run()
    result.assert_outcomes(failed=1, skipped=1, passed=TESTS - 2)
    result.stdout.no_fnmatch_line("*no longer applies*")


@pytest.mark.parametrize("how", ["option", "ini"])
def test_the_file_may_lie_elsewhere(project, how):
    """What it says of paths is relative to its own folder."""
    project.spec("a.equiv.yaml", project.finding())
    (project.path / "ci").mkdir()
    project.baseline('{spec: ../a.equiv.yaml, code: EQ401, reason: "so"}', name="ci/known.yaml")
    if how == "ini":
        project.pytester.makeini("[pytest]\nequivcheck_baseline = ci/known.yaml\n")
    arguments = ["--equivcheck-baseline", "ci/known.yaml"] if how == "option" else []
    project.run(*arguments).assert_outcomes(xfailed=1, passed=TESTS - 1)


def test_runxfail_fails_what_is_accepted(project):
    project.spec("a.equiv.yaml", project.finding())
    project.baseline(ENTRY)
    project.run("--runxfail").assert_outcomes(failed=1, passed=TESTS - 1)


def test_a_broken_file_is_a_usage_error_with_all_its_lines(project):
    project.spec()
    project.baseline("{spec: a.equiv.yaml, code: EQ999}", "{spec: a, code: EQ401, reason: so, arms: frozen}")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *baseline.yaml:3:*", "*baseline.yaml:4:*did you mean*"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("accepted: []", "version: is missing; this equivcheck reads version 1"),
        ("version: 2\naccepted: []", "version: is 2"),
        ("version: true\naccepted: []", "version: is True"),
        ("version: 1", "accepted: is no list"),
        ("version: 1\naccepted: {spec: a}", "accepted: is no list"),
        ("version: 1\naccepted: [EQ401]", "accepted.0: is no mapping"),
        ("version: 1\naccept: []", 'accept: is no key of a baseline; allowed: version, accepted; did you mean "accep'),
        ("version: 1\naccepted: [{spec: a, code: EQ401}]", "accepted.0.reason: is missing; say why"),
        ('version: 1\naccepted: [{spec: a, code: EQ401, reason: " "}]', "accepted.0.reason: is ' '; say why"),
        ("version: 1\naccepted: [{spec: 3, code: EQ401, reason: so}]", "accepted.0.spec: is 3; expected a text"),
        ("version: 1\naccepted: [{spec: a, code: EQ4, reason: so}]", "accepted.0.code: there is no check 'EQ4'"),
        ("version: 1\naccepted: [{spec: a, code: [], reason: so}]", "accepted.0.code: is []; expected a text"),
        ("version: 1\naccepted: [{spec: a, code: EQ401, reason: so, arm: x}]", "accepted.0.arm: is 'x'; allowed: bot"),
        ("version: 1\naccepted: [", "is not valid YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(tmp_path, text, told):
    (tmp_path / "b.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        read_baseline(tmp_path / "b.yaml")
    assert told in str(caught.value)
    assert "b.yaml:" in str(caught.value)


@pytest.mark.parametrize("text", ["# nothing yet\n", "\n", ""])
def test_a_file_without_entries_accepts_nothing(tmp_path, text):
    (tmp_path / "b.yaml").write_text(text, encoding="utf-8")
    assert read_baseline(tmp_path / "b.yaml") == ()
