"""The public names, and what importing them costs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import equivcheck
from equivcheck.findings import Cleared, Finding, Repair
from equivcheck.location import Location
from equivcheck.measured import Curve
from equivcheck.report.model import Report

#: None of these may be loaded by what is only imported.
HEAVY = {"tensorflow", "keras", "tf_keras", "pandas", "numpy", "pydantic", "ruamel", "rich", "click", "PIL", "plotille"}

#: Behind the wall: no module of ours that is imported at a door may load these before a run has begun.
WALL = {"tensorflow", "keras", "tf_keras"}


def loaded_by(statement):
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    probe = f"{statement}\nimport json, sys\nprint(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy():
    assert not HEAVY & loaded_by("import equivcheck")


def test_this_test_can_fail():
    assert loaded_by("import equivcheck, numpy") & HEAVY == {"numpy"}


@pytest.mark.parametrize(
    "module",
    ["pipeline", "assertion", "runtime", "repair", "catalog", "cli", "layer_diff", "pytest_plugin", "testing.marked"],
)
def test_modules_with_a_door_in_the_wall_do_not_open_it_on_import(module):
    """The import contracts cannot tell an import inside a function from one at the top; this can."""
    assert not WALL & loaded_by(f"import equivcheck.{module}")


@pytest.mark.parametrize("name", equivcheck.__all__)
def test_every_public_name_resolves_and_is_documented(name):
    value = getattr(equivcheck, name)
    assert name in dir(equivcheck)
    assert name.startswith("__") or value.__doc__


#: A Keras callback is one of Keras' classes.
BEHIND_THE_WALL = {"EquivalenceGuard"}


@pytest.mark.parametrize("name", sorted(set(equivcheck.__all__) - BEHIND_THE_WALL - {"__version__"}))
def test_no_public_name_loads_tensorflow(name):
    assert not WALL & loaded_by(f"import equivcheck; equivcheck.{name}")


def test_only_the_table_of_a_layer_diff_needs_pandas():
    assert "pandas" not in loaded_by("from equivcheck import diff_layers, LayerDiff")


def test_what_a_type_checker_sees_is_what_is_imported():
    """The names are written three times: for type checkers, for ``import *`` and for ``__getattr__``."""
    tree = ast.parse(Path(equivcheck.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == equivcheck._HOMES
    assert sorted({*seen, "__version__"}) == equivcheck.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'equivcheck' has no attribute 'nothing'"):
        _ = equivcheck.nothing


def finding(code="EQ401", severity="error", **more):
    return Finding(
        code=code,
        name="some-defect",
        severity=severity,
        arm="frozen",
        title="Dropout is active",
        message="dropout set 51 % of\nthe activations to zero",
        measured={},
        expected="none",
        repair=Repair("Call it in inference mode."),
        **more,
    )


def report(*findings, verdict="divergent", curves=()):
    return Report(name="mine", verdict=verdict, summary="The summary.", findings=findings, curves=curves)


@pytest.fixture
def outcome(monkeypatch):
    """What ``run`` gives, so that no model is built."""
    given = {}

    def run(spec, **options):
        given["called"] = (spec, options)
        return given["report"]

    monkeypatch.setattr("equivcheck.assertion.run", run)
    return given


@pytest.mark.parametrize(
    "equivalent",
    [
        report(verdict="equivalent"),
        report(finding(severity="warning"), finding(severity="note"), verdict="equivalent"),
    ],
)
def test_equivalent_arms_pass(outcome, equivalent):
    """Warnings are no difference between the arms."""
    outcome["report"] = equivalent
    equivcheck.assert_equivalent("spec.yaml")
    assert outcome["called"][0] == "spec.yaml"


def test_the_diagnosis_is_the_verdict_and_a_line_per_error(outcome):
    outcome["report"] = report(
        finding(location=Location("spec.yaml", 3, 5, "base/dropout")),
        finding("EQ104"),
        finding("EQ202", "warning"),
        curves=(Curve("bottleneck", "val_accuracy", (0.5, 0.942)), Curve("frozen", "val_accuracy", (0.5, 0.217))),
    )
    with pytest.raises(AssertionError) as caught:
        equivcheck.assert_equivalent("spec.yaml")
    told = "Dropout is active. dropout set 51 % of the activations to zero Repair: Call it in inference mode."
    assert str(caught.value).splitlines() == [
        "mine is divergent, gap of final validation accuracy −72.5 pp",  # noqa: RUF001  (as the report writes it)
        f"EQ401 {told} At spec.yaml:3:5 (base/dropout)",
        f"EQ104 {told}",
    ]


@pytest.mark.parametrize("ignore", [["EQ401"], ["EQ4"], ("EQ1", "eq4"), "EQ401"])
def test_an_ignored_error_does_not_fail(outcome, ignore):
    """Nor do the curves that differ because of it."""
    outcome["report"] = report(finding("EQ401"))
    equivcheck.assert_equivalent("spec.yaml", ignore=ignore)


def test_other_errors_fail_although_one_is_ignored(outcome):
    outcome["report"] = report(finding("EQ401"), finding("EQ104"))
    with pytest.raises(AssertionError) as caught:
        equivcheck.assert_equivalent("spec.yaml", ignore=["EQ4"])
    assert "EQ104" in str(caught.value)
    assert "EQ401" not in str(caught.value)


@pytest.mark.parametrize("select", [["EQ1"], "EQ104"])
def test_only_selected_errors_fail(outcome, select):
    outcome["report"] = report(finding("EQ401"))
    equivcheck.assert_equivalent("spec.yaml", select=select)
    outcome["report"] = report(finding("EQ401"), finding("EQ104"))
    with pytest.raises(AssertionError, match="EQ104"):
        equivcheck.assert_equivalent("spec.yaml", select=select)


def test_curves_that_no_check_explains_fail_whatever_is_ignored(outcome):
    outcome["report"] = report()
    with pytest.raises(AssertionError, match=r"mine is divergent\nThe summary\."):
        equivcheck.assert_equivalent("spec.yaml", ignore=["EQ2"])
    equivcheck.assert_equivalent("spec.yaml", select=["EQ2"])


def test_an_inconclusive_run_fails_and_says_why(outcome):
    outcome["report"] = report(verdict="inconclusive")
    with pytest.raises(AssertionError, match=r"mine is inconclusive\nThe summary\."):
        equivcheck.assert_equivalent("spec.yaml", select=["EQ2"], ignore=["EQ1"])


def test_a_name_from_user_code_cannot_break_a_line_or_paint_the_terminal(outcome):
    outcome["report"] = report(finding(location=Location(layer="\x1b[31mlayer\nname")))
    with pytest.raises(AssertionError) as caught:
        equivcheck.assert_equivalent("spec.yaml")
    assert len(str(caught.value).splitlines()) == 2
    assert "\x1b" not in str(caught.value)


def test_a_bad_spec_is_an_error_not_a_failed_assertion(tmp_path):
    (tmp_path / "bad.yaml").write_text("version: 2\n", encoding="utf-8")
    with pytest.raises(equivcheck.SpecError):
        equivcheck.assert_equivalent(tmp_path / "bad.yaml")


def test_a_report_of_the_public_api_saves_and_gives_frames(tmp_path):
    cleared = Cleared("EQ301", "label-encoding-differs", "the same loss")
    made = equivcheck.Report(name="mine", verdict="equivalent", summary="Fine.", cleared=(cleared,))
    made.save(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["verdict"] == "equivalent"
    assert list(made.to_frame("cleared")["code"]) == ["EQ301"]
