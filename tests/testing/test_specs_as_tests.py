"""Specs as tests: what is collected, what fails, and how it is told."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET

import pytest

from equivcheck.catalog import all_checks, names
from equivcheck.findings import Repair
from equivcheck.location import Location

TESTS = len(names()) + 1  # and the verdict
CODE = "EQ401-dropout-active-in-backbone"


def test_collecting_runs_nothing(project):
    project.spec()
    result = project.run("--collect-only", "-q")
    result.stdout.fnmatch_lines(["a.equiv.yaml::verdict", f"a.equiv.yaml::{CODE}", f"{TESTS} tests collected*"])
    assert project.runs == []


def test_an_equivalent_spec_passes_and_runs_once(project):
    project.spec()
    project.run().assert_outcomes(passed=TESTS)
    assert [name for name, *_ in project.runs] == ["a.equiv.yaml"]


def test_one_check_is_picked_by_its_code_or_name(project):
    project.spec("a.equiv.yaml", project.finding())
    project.run("-k", "EQ401").assert_outcomes(failed=1, deselected=TESTS - 1)
    project.run("-k", "dropout").assert_outcomes(failed=1, deselected=TESTS - 1)
    project.run("-k", "EQ104").assert_outcomes(passed=1, deselected=TESTS - 1)


def test_a_failure_is_the_short_diagnosis_and_no_traceback(project):
    project.spec("specs/a.equiv.yaml", project.finding(verified=True, share=-31.7))
    result = project.run()
    result.assert_outcomes(failed=1, passed=TESTS - 1)
    result.stdout.fnmatch_lines(
        [
            "*specs/a.equiv.yaml EQ401-dropout-active-in-backbone*",
            "specs/a.equiv.yaml:3: EQ401 Dropout is active",
            "  where     frozen arm, base/dropout",
            "  cause     The layer sets half of the activations to zero.",
            "  measured  dropped fraction: 0.504",
            "  share     ?31.7 pp",
            "  repair    Call it in inference mode.",
            "  patch     frozen:",
            "              backbone: {call: inference}",
            "  verified  yes*",
            "  more      equivcheck explain EQ401",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*items.py*")


def test_a_name_from_user_code_cannot_repaint_the_terminal(project):
    odd = project.finding(location=Location(layer="\x1b[31mlayer\nname"), repair=Repair("Do\x07 it."), message="a\rb")
    project.spec("a.equiv.yaml", odd)
    text = project.run("-k", "EQ401", "--color=no").stdout.str()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\\x1b[31mlayer name" in text


def test_curves_that_no_check_explains_fail_the_verdict(project):
    project.spec(verdict="divergent")
    result = project.run()
    result.assert_outcomes(failed=1, passed=TESTS - 1)
    result.stdout.fnmatch_lines(["a.equiv.yaml: divergent: The summary of a.equiv."])


def test_an_inconclusive_run_fails_the_verdict(project):
    project.spec(verdict="inconclusive", skipped={"EQ401": "the check itself failed: ValueError: no"})
    result = project.run()
    result.assert_outcomes(failed=2, passed=TESTS - 2)
    result.stdout.fnmatch_lines(["a.equiv.yaml: inconclusive: The summary of a.equiv."])
    project.run("-k", "EQ401").assert_outcomes(failed=1, deselected=TESTS - 1)


def test_a_check_that_did_not_judge_is_skipped_with_its_reason(project):
    project.spec("a.equiv.yaml", project.finding(), skipped={"EQ702": "a consequence of EQ401"})
    result = project.run("-ra")
    result.assert_outcomes(failed=1, skipped=1, passed=TESTS - 2)
    result.stdout.fnmatch_lines(["SKIPPED*a.equiv.yaml:1: a consequence of EQ401"])


@pytest.mark.parametrize(
    ("raises", "told"),
    [
        ("raise UserCodeError('train:frozen_arm raised ValueError: no (train.py:7)')", "train:frozen_arm raised *"),
        ("raise InconclusiveError('memory was not enough')", "memory was not enough"),
        ("sys.exit(0)", "*left the program (sys.exit(0))"),
        ("raise RuntimeError('a bug')", "RuntimeError: a bug"),
    ],
)
def test_a_run_that_fails_is_told_once(project, raises, told):
    """By the first test that meets it, whichever was chosen; the others refer to it."""
    project.spec(raises=raises)
    result = project.run()
    result.assert_outcomes(failed=1, skipped=TESTS - 1)
    result.stdout.fnmatch_lines(["a.equiv.yaml: the run failed", told])
    project.run("-k", "EQ402").assert_outcomes(failed=1, deselected=TESTS - 1)


def test_a_warning_warns_and_a_note_is_shown_on_demand(project):
    note = project.finding("EQ801", "note", message="An average.")
    project.spec("a.equiv.yaml", project.finding("EQ202", "warning"), note, cleared=["EQ301"])
    result = project.run("-rP")
    result.assert_outcomes(passed=TESTS, warnings=2)  # the other is Keras' own
    text = result.stdout.str()
    assert "EquivcheckWarning: a.equiv.yaml:3: EQ202 Dropout is active: The layer sets half" in text
    assert "cause     An average." in text
    assert "measured and harmless: the same loss" in text


def test_where_warnings_are_errors_keras_does_not_fail_a_run(project):
    project.spec("a.equiv.yaml", project.finding("EQ202", "warning"))
    result = project.run("-W", "error")
    result.assert_outcomes(failed=1, passed=TESTS - 1)
    result.stdout.fnmatch_lines(["a.equiv.yaml:3: EQ202*"])


def test_warnings_fail_where_that_is_asked_for(project):
    project.spec("a.equiv.yaml", project.finding("EQ202", "warning"), project.finding("EQ801", "note"))
    project.run("--equivcheck-fail-on", "warning").assert_outcomes(failed=1, passed=TESTS - 1, warnings=1)
    project.pytester.makeini("[pytest]\nequivcheck_fail_on = note\n")
    project.run().assert_outcomes(failed=2, passed=TESTS - 2, warnings=1)


def test_selected_and_ignored_checks(project):
    project.spec("a.equiv.yaml", project.finding())
    fourth = sum(code.startswith("EQ4") for code in names())
    project.run("--equivcheck-select", "eq4").assert_outcomes(failed=1, passed=fourth)
    project.run("--equivcheck-ignore", "EQ1,EQ401", "--equivcheck-ignore", "EQ2").assert_outcomes(
        passed=TESTS - 1 - sum(code.startswith(("EQ1", "EQ2")) for code in names())
    )
    project.pytester.makeini("[pytest]\nequivcheck_select = EQ1 EQ4\nequivcheck_ignore = EQ401\n")
    project.run().assert_outcomes(passed=fourth + sum(code.startswith("EQ1") for code in names()))
    project.run("--equivcheck-select", "EQ401", "--equivcheck-ignore", "EQ1").assert_outcomes(failed=1, passed=1)


def test_the_pattern_of_specs_is_configurable(project):
    project.spec("specs/experiment.yaml")
    project.spec("a.equiv.yaml")
    project.pytester.makeini("[pytest]\nequivcheck_files = specs/*.yaml\n")
    project.run().assert_outcomes(passed=TESTS)
    assert [name for name, *_ in project.runs] == ["specs/experiment.yaml"]


def test_options_reach_the_run(project):
    project.spec()
    project.run("--equivcheck-no-replay", "-k", "verdict")
    project.run("--equivcheck-budget", "7", "-k", "verdict")
    project.pytester.makeini("[pytest]\nequivcheck_replay = false\nequivcheck_budget = 3\n")
    project.run("-k", "verdict")
    assert [options for *_, options in project.runs] == [
        "{'replay': False}",
        "{'replay': True, 'budget': 7.0}",
        "{'replay': False, 'budget': 3.0}",
    ]


def test_reports_are_written_and_two_specs_of_one_name_keep_theirs_apart(project):
    project.spec("one/a.equiv.yaml", project.finding())
    project.spec("two/a.equiv.yaml")
    project.run("--equivcheck-reports", "out").assert_outcomes(failed=1, passed=2 * TESTS - 1)
    assert sorted(path.name for path in (project.path / "out").iterdir()) == [
        "one-a.equiv.json",
        "two-a.equiv.json",
    ]


def test_junit_carries_code_share_and_verdict(project):
    project.spec("a.equiv.yaml", project.finding(share=-31.7))
    project.run("--junit-xml=out.xml")
    (case,) = (
        case
        for case in ET.parse(project.path / "out.xml").iter("testcase")  # noqa: S314  (it is ours)
        if case.get("name") == CODE
    )
    assert {each.get("name"): each.get("value") for each in case.iter("property")} == {
        "equivcheck_verdict": "divergent",
        "equivcheck_code": "EQ401",
        "equivcheck_severity": "error",
        "equivcheck_share": "-31.7",
    }
    (failure,) = case.iter("failure")
    assert failure.text.startswith("a.equiv.yaml:3: EQ401")


def test_last_failed_runs_only_those(project):
    project.spec("a.equiv.yaml", project.finding())
    project.spec("b.equiv.yaml")
    run = project.pytester.runpytest_subprocess
    run().assert_outcomes(failed=1, passed=2 * TESTS - 1)
    run("--lf").assert_outcomes(failed=1)
    assert [name for name, *_ in project.runs].count("b.equiv.yaml") == 1


def test_without_the_plugin_specs_are_no_tests(project):
    project.spec("a.equiv.yaml", project.finding())
    project.pytester.makepyfile("def test_one(): pass")
    project.run("-p", "no:equivcheck").assert_outcomes(passed=1)


def test_a_spec_of_logs_has_the_tests_of_logs_only(project):
    project.spec(text="version: 1\nobserved: {frozen: a.log}\n", verdict="inconclusive")
    logs = sum(check.subject == "logs" for check in all_checks())
    project.run().assert_outcomes(failed=1, passed=logs)


# --- bad input ---


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 1\n  labels: [\n", "a.equiv.yaml:2:*is not valid YAML*"),
        (
            'version: 1\nbottleneck: {callable: "json:loads"}\nfrozen: {callable: "json:loads"}\nlabls: sparse\n',
            "a.equiv.yaml:4:1: labls: *did you mean*",
        ),
        ("", "a.equiv.yaml:1:1: is empty*"),
    ],
)
def test_a_broken_spec_is_an_error_of_collection_with_its_line(project, text, told):
    project.spec(text=text)
    project.spec("b.equiv.yaml")
    result = project.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*ERROR collecting a.equiv.yaml*", told])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*.py:*")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--equivcheck-select", "EQ9"], "equivcheck_select: no check has a code that starts with 'EQ9'*"),
        (["--equivcheck-ignore", "X"], "equivcheck_ignore: no check*"),
        (["--equivcheck-fail-on", "fatal"], "equivcheck_fail_on: 'fatal' is none of error, warning, note"),
        (["--equivcheck-budget", "soon"], "equivcheck_budget: 'soon' is no number of seconds"),
        (["--equivcheck-budget", "nan"], "equivcheck_budget: 'nan' is no number of seconds"),
        (["--equivcheck-baseline", "none.yaml"], "equivcheck_baseline: there is no file *none.yaml"),
        (["--equivcheck-reports", "conftest.py"], "--equivcheck-reports: conftest.py is not a folder"),
        (["-o", "equivcheck_fail_on=fatal"], "equivcheck_fail_on: 'fatal' is none of*"),
        (["-o", "equivcheck_select=EQ9"], "equivcheck_select: no check*"),
        (["-o", "equivcheck_baseline=none.yaml"], "equivcheck_baseline: there is no file *none.yaml"),
    ],
)
def test_an_option_that_makes_no_sense_is_a_usage_error(project, arguments, told):
    project.spec()
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {told}"])


# --- pytest-xdist ---


@pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="pytest-xdist is not installed")
@pytest.mark.parametrize("how", ["load", "loadfile", "loadgroup", "worksteal", "each"])
def test_over_several_workers_a_spec_runs_once(project, monkeypatch, how):
    """Whatever spreads the tests; and no worker waits while there is a spec that nobody has begun."""
    monkeypatch.setenv("SECONDS_A_RUN", "0.5")
    for name in "abc":
        project.spec(f"{name}.equiv.yaml", *([project.finding()] if name == "b" else []))
    project.spec("d.equiv.yaml", raises="raise UserCodeError('no')")
    result = project.run("-n", "2", "--dist", how)
    twice = 2 if how == "each" else 1
    result.assert_outcomes(failed=twice + 1, passed=twice * (3 * TESTS - 1), skipped=twice * TESTS - 1)
    assert sorted(name for name, *_ in project.runs) == [f"{name}.equiv.yaml" for name in "abcd"]
    assert {worker for _, worker, _ in project.runs} == {"gw0", "gw1"}
