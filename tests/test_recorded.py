"""What is said of curves that a user already has, with and without a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from equivcheck.catalog import all_checks
from equivcheck.cli import cli
from equivcheck.errors import SpecError
from equivcheck.pipeline import run
from equivcheck.report.json_format import as_dict, dumps, loads
from equivcheck.spec import load

LOGS = Path(__file__).parents[1] / "fixtures" / "logs"
BOTTLENECK, FROZEN = (LOGS / f"inception_v4_{arm}.log" for arm in ("bottleneck", "frozen"))


@pytest.fixture
def spec(tmp_path):
    def written(**observed):
        path = tmp_path / "spec.yaml"
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in observed.items()}
        path.write_text(f"version: 1\nname: post\nobserved: {json.dumps(plain)}\n", encoding="utf-8")
        return path

    return written


def found(report):
    return [(finding.code, finding.arm, finding.severity) for finding in report.findings]


def test_the_two_logs_of_a_forum_post(spec):
    """Counts that cannot be, and a curve that goes in a circle: named from the logs alone."""
    report = run(spec(bottleneck=BOTTLENECK, frozen=FROZEN, validation_samples=8))
    assert report.verdict == "divergent"
    assert found(report) == [
        ("EQ803", "frozen", "warning"),
        ("EQ803", "both", "warning"),
        ("EQ804", "frozen", "warning"),
    ]
    validation, training, period = report.findings
    assert validation.measured["smallest_possible_number_of_samples"] == 6
    assert validation.measured["impossible_accuracies"] == [0.3333, 0.6667]
    assert training.measured == {"bottleneck_samples_per_epoch": 16, "frozen_samples_per_epoch": 24}
    assert (period.measured["period_epochs"], period.measured["window_samples"]) == (4, 12)
    assert period.measured["set_samples"] == 8
    assert period.measured["accuracies_of_a_constant_prediction"] == [0.3333, 0.5, 0.6667]
    assert "part in epoch 1" in report.summary
    assert "(EQ804)" in report.summary
    assert all(finding.location.line == 3 for finding in report.findings)


def test_without_a_number_of_samples_nothing_is_guessed(spec):
    """The validation accuracies are possible for twelve images; the training samples still differ."""
    report = run(spec(bottleneck=BOTTLENECK, frozen=FROZEN))
    assert found(report) == [("EQ803", "both", "warning"), ("EQ804", "frozen", "warning")]


def test_what_the_report_holds(spec):
    report = run(spec(bottleneck=BOTTLENECK, frozen=FROZEN))
    frozen = report.observed["frozen"]
    assert frozen["metrics"]["val_accuracy"][:4] == [0.6667, 0.5, 0.3333, 0.5]
    assert (frozen["steps"], frozen["planned_epochs"], frozen["seconds"][0]) == ([24], 50, 63.0)
    assert (frozen["smallest_possible_validation_samples"], frozen["period_epochs"]) == (6, 4)
    assert report.observed["bottleneck"]["period_epochs"] is None
    first = report.observed["parting"][0]
    assert (first["metric"], first["first_epoch"], first["widest_epoch"]) == ("val_accuracy", 1, 3)
    assert as_dict(loads(dumps(report))) == as_dict(report)
    assert report.curves == ()
    reasons = {skipped.reason for skipped in report.skipped}
    assert reasons == {"the spec describes no model"}
    judged = {check.code for check in all_checks()} - {skipped.code for skipped in report.skipped}
    assert judged == {"EQ803", "EQ804"}


def test_one_log_alone_is_inconclusive_and_still_judged(spec):
    report = run(spec(frozen=FROZEN))
    assert (report.verdict, found(report)) == ("inconclusive", [("EQ804", "frozen", "warning")])
    assert "only the frozen arm has a log" in report.summary


def test_equal_logs_are_equivalent(spec):
    report = run(spec(bottleneck=BOTTLENECK, frozen=BOTTLENECK))
    assert (report.verdict, report.findings) == ("equivalent", ())
    assert "agree in every printed digit" in report.summary


def test_logs_without_a_common_metric_are_inconclusive(spec, tmp_path):
    (tmp_path / "one.csv").write_text("epoch,loss\n0,0.5\n", encoding="utf-8")
    (tmp_path / "other.json").write_text('{"accuracy": [0.5]}', encoding="utf-8")
    report = run(spec(bottleneck="one.csv", frozen="other.json"))
    assert report.verdict == "inconclusive"
    assert "no metric in common" in report.summary


def test_selection_holds_for_logs_too(spec):
    report = run(spec(frozen=FROZEN), ignore=["EQ804"])
    assert report.findings == ()
    assert {skipped.code: skipped.reason for skipped in report.skipped}["EQ804"] == "not selected"


@pytest.mark.parametrize(
    ("observed", "problem"),
    [
        ("{}", "3:1: observed: names no file; give bottleneck, frozen or both, or describe the arms"),
        ("{validation_samples: 8}", "3:1: observed: names no file"),
        ("{frozn: x.log}", "3:12: observed.frozn: unknown key; allowed: bottleneck, frozen, validation_samples"),
        ("{frozen: x.log, validation_samples: 0}", "observed.validation_samples: is 0"),
        ("{frozen: x.log}\nbackbon: {}", "4:1: backbon: unknown key"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, observed, problem):
    path = tmp_path / "spec.yaml"
    path.write_text(f"version: 1\nname: post\nobserved: {observed}\n", encoding="utf-8")
    with pytest.raises(SpecError) as raised:
        load(path)
    (said,) = str(raised.value).splitlines()[:1]
    assert problem in said


def test_a_model_that_is_described_in_part_is_still_asked_for_the_rest(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text("version: 1\nobserved: {frozen: x.log}\nlabels: sparse\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"backbone: is missing"):
        load(path)


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_broken_log_ends_the_command_with_its_line(spec, tmp_path, command):
    (tmp_path / "bad.csv").write_text("epoch,loss\n0,0.5\n1,high\n", encoding="utf-8")
    result = CliRunner().invoke(cli, [command, str(spec(frozen="bad.csv"))])
    assert result.exit_code == 2
    assert result.output == f"error: {tmp_path}/bad.csv:3: loss is 'high'; expected a number\n"


def test_a_broken_log_beside_a_model_is_told_before_anything_is_executed(tmp_path):
    (tmp_path / "bad.log").write_text("nothing\n", encoding="utf-8")
    (tmp_path / "mine.py").write_text("raise SystemExit('executed')\n", encoding="utf-8")
    arms = 'bottleneck: {callable: "mine:arm"}\nfrozen: {callable: "mine:arm"}\n'
    (tmp_path / "spec.yaml").write_text(f"version: 1\n{arms}observed: {{frozen: bad.log}}\n", encoding="utf-8")
    result = CliRunner().invoke(cli, ["run", str(tmp_path / "spec.yaml")])
    assert result.exit_code == 2
    assert "bad.log: tells of no epoch" in result.output
    assert "executed" not in result.output


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_log_that_is_not_there(spec, tmp_path, command):
    result = CliRunner().invoke(cli, [command, str(spec(frozen="absent.log"))])
    assert result.exit_code == 2
    assert f"observed.frozen: {tmp_path}/absent.log: no such file" in result.output


def test_the_terminal_shows_both_curves_and_what_they_give_away(spec):
    result = CliRunner().invoke(cli, ["run", str(spec(bottleneck=BOTTLENECK, frozen=FROZEN, validation_samples=8))])
    assert result.exit_code == 1
    assert "Curves that you already have" in result.output
    assert "window of 12 samples" in " ".join(result.output.split())
    assert "30 of 50" in result.output
    assert "B bottleneck" in result.output


def test_a_valid_spec_of_logs(spec):
    path = spec(frozen=FROZEN)
    result = CliRunner().invoke(cli, ["validate", str(path)])
    assert (result.exit_code, result.output) == (0, f"{path}: valid\n")


def shown(spec, output_format="terminal"):
    return CliRunner().invoke(cli, ["run", str(spec), "--output-format", output_format]).output


def test_a_truncated_log_says_what_was_left_out(spec, tmp_path):
    lines = FROZEN.read_text(encoding="utf-8").splitlines()
    broken = tmp_path / "broken.log"
    broken.write_text("\n".join([*lines[:7], " 7/24 [=>....] - ETA: 3s - loss: 0.5 - acc: 0.5"]), encoding="utf-8")
    place = next(number for number, line in enumerate(lines, 1) if "Epoch 4/" in line)
    said = f"line {place} is left out: epoch 4, which breaks off at 7 of 24"
    path = spec(bottleneck=BOTTLENECK, frozen=broken)
    assert f"frozen: {said}." in shown(path)
    assert said in shown(path, "html")
    assert run(path).observed["frozen"]["epochs"] == [1, 2, 3]


def test_interleaved_logs_are_not_mixed(spec, tmp_path):
    """Of two trainings that were written into one file, epoch by epoch, the first is read."""
    both = zip(*(log.read_text(encoding="utf-8").splitlines() for log in (FROZEN, BOTTLENECK)), strict=True)
    mixed = tmp_path / "mixed.log"
    mixed.write_text("\n".join(line for pair in both for line in pair), encoding="utf-8")
    report = run(spec(bottleneck=BOTTLENECK, frozen=mixed))
    alone = run(spec(bottleneck=BOTTLENECK, frozen=FROZEN))
    told = report.observed["frozen"]
    assert told["metrics"] == alone.observed["frozen"]["metrics"]
    assert len(told["left_out"]) > 6
    assert "places more are left out" in shown(spec(bottleneck=BOTTLENECK, frozen=mixed))


@pytest.mark.parametrize("odd", [7, None, [7], [{"first": 1}], {}], ids=repr)
def test_what_a_report_file_says_of_lines_may_be_anything(spec, tmp_path, odd):
    report = run(spec(frozen=FROZEN))
    log = report.observed["frozen"] | {"left_out": odd, "unlike_the_spec": odd}
    path = tmp_path / "report.json"
    path.write_text(dumps(replace(report, observed={"frozen": log})), encoding="utf-8")
    result = CliRunner().invoke(cli, ["report", str(path)])
    assert "already have" in result.output, result.output
