"""Tests in Python: the marker, the fixtures and the assertion."""

from __future__ import annotations

import pytest

BODY = """
import pytest

@pytest.mark.equivcheck({arguments})
def test_marked():
    print("the body ran")
"""


@pytest.fixture
def marked(project):
    """Runs a test that is marked with these arguments."""

    def run(arguments, *options):
        project.pytester.makepyfile(BODY.format(arguments=arguments))
        return project.run("-rP", "--strict-markers", "-k", "test_marked", *options)

    return run


def test_a_marked_test_passes_where_the_arms_train_alike(project, marked):
    project.spec("spec.yaml")
    result = marked("spec='spec.yaml'")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["the body ran"])


def test_it_fails_with_the_short_diagnosis_before_its_body_runs(project, marked):
    project.spec("spec.yaml", project.finding())
    result = marked("spec='spec.yaml'")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["spec is divergent", "EQ401 Dropout is active. The layer sets half*spec.yaml:3:1*"])
    result.stdout.no_fnmatch_line("the body ran")
    result.stdout.no_fnmatch_line("*marked.py*")


@pytest.mark.parametrize(
    ("arguments", "passes"),
    [
        ("spec='spec.yaml', ignore=['EQ4']", True),
        ("spec='spec.yaml', ignore='EQ401'", True),
        ("spec='spec.yaml', ignore=['EQ1']", False),
        ("spec='spec.yaml', select=['EQ1']", True),
        ("spec='spec.yaml', select='EQ401,EQ1'", False),
        ("'spec.yaml', ['EQ1']", True),
    ],
)
def test_select_and_ignore(project, marked, arguments, passes):
    project.spec("spec.yaml", project.finding())
    marked(arguments).assert_outcomes(passed=passes, failed=not passes)


def test_the_baseline_and_the_options_count_here_too(project, marked):
    project.spec("spec.yaml", project.finding())
    marked("spec='spec.yaml'", "--equivcheck-ignore", "EQ4").assert_outcomes(passed=1)
    project.baseline("{spec: spec.yaml, code: EQ401, reason: so}")
    marked("spec='spec.yaml'").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "test_marked: the marker names no spec; expected @pytest.mark.equivcheck(spec=*"),
        ("spec=3", "test_marked: the marker names no spec; *"),
        ("spec='spec.yaml', choose=['EQ1']", "test_marked: the marker takes spec, select and ignore; *"),
        ("'spec.yaml', (), (), 4", "test_marked: the marker takes spec, select and ignore; *"),
        ("spec='spec.yaml', select=['EQ9']", "test_marked: the marker's select: no check has a code*"),
        ("spec='none.yaml'", "none.yaml: the run failed"),
    ],
)
def test_wrong_arguments_are_told_plainly(project, marked, arguments, told):
    project.spec("spec.yaml")
    project.spec("none.yaml", raises="raise SpecError([])").unlink()
    result = marked(arguments)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([told])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_spec_runs_once_whoever_asks_for_it(project):
    project.spec()
    project.pytester.makepyfile(
        """
        import pytest

        @pytest.mark.equivcheck(spec="a.equiv.yaml")
        class TestArms:
            def test_marked(self, equivcheck_report):
                assert equivcheck_report.verdict == "equivalent"

            def test_again(self, equivcheck_run, equivcheck_report):
                assert equivcheck_run("a.equiv.yaml") is equivcheck_report
        """
    )
    result = project.run()
    assert result.ret == 0
    assert len(project.runs) == 1


def test_the_report_of_a_divergent_spec_can_be_looked_at(project):
    """The function judges nothing."""
    project.spec("spec.yaml", project.finding())
    project.pytester.makepyfile(
        "def test_one(equivcheck_run): assert equivcheck_run('spec.yaml').findings[0].code == 'EQ401'"
    )
    project.run().assert_outcomes(passed=1)


def test_the_fixture_needs_the_marker(project):
    project.pytester.makepyfile("def test_one(equivcheck_report): pass")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["equivcheck_report: test_one has no marker; expected @pytest.mark.equivcheck(*"])


def test_the_assertion_shows_the_line_of_the_test_and_not_ours(project):
    project.spec("spec.yaml", project.finding())
    project.pytester.makepyfile(
        """
        import equivcheck
        from pathlib import Path

        def test_one():
            equivcheck.assert_equivalent(Path("spec.yaml").absolute())
        """
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E  *AssertionError: spec is divergent", "E  *EQ401 Dropout is active. *"])
    result.stdout.no_fnmatch_line("*assertion.py*")


def test_a_unittest_can_be_marked(project):
    project.spec("spec.yaml", project.finding())
    project.pytester.makepyfile(
        """
        import unittest, pytest

        class TestArms(unittest.TestCase):
            @pytest.mark.equivcheck(spec="spec.yaml")
            def test_one(self):
                pass
        """
    )
    project.run().assert_outcomes(failed=1)
