"""The whole flow on the fixture specs: what a user of each of these pipelines is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from equivcheck.catalog import all_checks
from equivcheck.errors import SpecError
from equivcheck.measured import curves_equal
from equivcheck.report.json_format import as_dict, dumps, loads
from equivcheck.report.schema import report_schema
from equivcheck.spec import load

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

FIXTURES = Path(__file__).parents[1] / "fixtures"
#: Fixture -> the one error it has, and the line that a person must look at.
SINGLE = {
    "dropout": ("EQ401", "  cut: flatten"),
    "batchnorm": ("EQ402", '  keras_semantics: "2.2"'),
    "labels": ("EQ303", "  data: {classes: [five, six, seven, eight, nine]}"),
    "preprocessing": ("EQ201", "  preprocessing: {rescale: 0.00392156862745098, offset: 0.0}"),
    "shuffle": ("EQ104", "  training: {shuffle: false}"),
    "trainable": ("EQ501", '  backbone: {freeze: {layers: ":-2"}}'),
}
FULL = ("clean", "combined")
EPOCHS = load(FIXTURES / "clean" / "spec.yaml").data["training"]["epochs"]


@dataclass(frozen=True)
class Told:
    """What one run returned, and what it told while it ran."""

    report: object
    stages: list


@pytest.fixture(scope="session")
def told(tensorflow, tmp_path_factory):
    """Runs a fixture spec once; in full where its curves are the point, else for as many epochs as a shape needs."""
    from equivcheck.pipeline import run_document

    folder = tmp_path_factory.mktemp("cache")
    kept = {}

    def run(name):
        if name not in kept:
            document = load(FIXTURES / name / "spec.yaml")
            if name not in FULL:
                document = document.patched({"training.epochs": 2})
            stages = []
            report = run_document(
                document,
                cache_dir=folder,
                progress=lambda *stage: stages.append(stage),
                replay=name in FULL,
                budget=900,  # a slow machine must not leave replays out
            )
            kept[name] = Told(report, stages)
        return kept[name]

    return run


def errors(report):
    return [finding.code for finding in report.findings if finding.severity == "error"]


def values(report, arm):
    return {curve.metric: curve.values for curve in report.curves if curve.arm == arm}


def test_a_clean_spec_is_equivalent(told):
    report = told("clean").report
    assert (report.verdict, report.exit_code) == ("equivalent", 0)
    assert report.findings == ()
    assert report.first_divergence.inference is None
    assert report.first_divergence.training is None
    assert {row.role for row in report.layers} == {"equal"}


def test_a_clean_spec_gives_bit_equal_curves(told):
    """The positive control: stored features and end to end, no digit apart, and it does learn."""
    report = told("clean").report
    bottleneck, frozen = values(report, "bottleneck"), values(report, "frozen")
    assert set(bottleneck) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(len(curve) == EPOCHS for curve in bottleneck.values())
    assert bottleneck == frozen
    assert bottleneck["val_accuracy"][-1] > 0.9


def test_a_clean_spec_needs_no_repaired_curve(told):
    assert {curve.arm for curve in told("clean").report.curves} == {"bottleneck", "frozen"}


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_cause_is_named_and_nothing_else(told, name):
    report = told(name).report
    code, _ = SINGLE[name]
    assert (report.verdict, report.exit_code) == ("divergent", 1)
    assert report.findings[0].code == code
    assert errors(report) == [code]


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_cause_is_located_in_the_spec(told, name):
    finding = told(name).report.findings[0]
    path = FIXTURES / name / "spec.yaml"
    assert Path(finding.location.file) == path
    line = path.read_text(encoding="utf-8").splitlines()[finding.location.line - 1]
    assert line == SINGLE[name][1]


@pytest.mark.parametrize("name", SINGLE)
def test_a_single_cause_repaired_is_bit_equal_again(told, name):
    """The repair is proven twice: the finding is gone, and the arm trains as the other one does."""
    report = told(name).report
    assert report.findings[0].verified is True
    assert not curves_equal(report.curves, "bottleneck", "frozen")
    assert curves_equal(report.curves, "bottleneck", "repaired")


def test_layers_that_tell(told):
    """The first layer that differs is the culprit of its fixture; what follows hands the difference on."""
    dropout, batchnorm = told("dropout").report, told("batchnorm").report
    assert dropout.first_divergence.training.endswith("/dropout")
    assert dropout.first_divergence.inference is None
    assert batchnorm.first_divergence.training.endswith("/stem_1_bn")
    assert batchnorm.first_divergence.inference is None
    roles = {row.name: row.role for row in batchnorm.layers}
    sources = {row.kind for row in batchnorm.layers if row.role == "source"}
    assert sources == {"LegacyBatchNormalization"}
    assert roles["head_dense"] == "propagated"
    assert dropout.findings[0].location.layer == dropout.first_divergence.training


def test_differently_spelt_labels_are_cleared(told):
    report = told("labels").report
    assert "EQ301" not in errors(report)
    assert next(row for row in report.settings if row.name == "labels").differs


def test_preprocessing_names_both_modes_and_the_arm_unlike_pretraining(told):
    (first,) = told("preprocessing").report.findings
    assert first.measured["bottleneck_input"] == "1/127.5 - 1 to [-1, 1]"
    assert first.measured["frozen_input"] == "1/255 to [0, 1]"
    assert first.measured["trained_with"] == "1/127.5 - 1 to [-1, 1]"


def test_an_unfrozen_backbone_is_counted(told):
    report = told("trainable").report
    bottleneck, frozen = report.parameters["bottleneck"], report.parameters["frozen"]
    assert frozen.moved > bottleneck.moved == bottleneck.trainable
    assert bottleneck.trainable + bottleneck.frozen == frozen.trainable + frozen.frozen


def test_combined_causes_are_all_found_and_the_harmless_difference_is_cleared(told):
    report = told("combined").report
    assert (report.verdict, report.exit_code) == ("divergent", 1)
    assert sorted(errors(report)) == ["EQ104", "EQ401", "EQ402"]
    assert {finding.code for finding in report.findings} == set(errors(report))
    assert [cleared.code for cleared in report.cleared] == ["EQ301", "EQ305"]


def test_combined_causes_repaired_are_bit_equal(told):
    """The labels stay as different as they were: the repair does not touch what is harmless."""
    report = told("combined").report
    assert all(finding.verified is True for finding in report.findings)
    bottleneck, frozen, repaired = (values(report, arm) for arm in ("bottleneck", "frozen", "repaired"))
    assert repaired == bottleneck
    assert bottleneck["val_accuracy"][-1] > 0.9
    assert frozen["val_accuracy"][-1] < 0.5


@pytest.mark.parametrize("name", [*FULL, *SINGLE])
def test_the_json_follows_the_published_schema(told, name):
    document = as_dict(told(name).report)
    jsonschema.Draft202012Validator(report_schema()).validate(document)
    assert json.loads(dumps(told(name).report)) == document


@pytest.mark.parametrize("name", [*FULL, *SINGLE])
def test_the_json_reads_back_as_the_same_report(told, name):
    report = told(name).report
    assert dumps(loads(dumps(report))) == dumps(report)


def test_every_check_is_accounted_for(told):
    """It spoke, or it was skipped with a reason, or it ran in silence; none failed."""
    for name in ("clean", "combined", "trainable"):
        assert not [skipped for skipped in told(name).report.skipped if "failed" in skipped.reason]
    consequences = {skipped.code: skipped.reason for skipped in told("trainable").report.skipped}
    assert consequences["EQ502"] == "a consequence of EQ501"


def test_progress_tells_every_stage_and_every_epoch(told):
    stages = told("clean").stages
    names = list(dict.fromkeys(name for name, _, _ in stages))
    assert names.index("comparing the arms layer by layer") < names.index("training both arms")
    assert ("training the frozen arm", EPOCHS, EPOCHS) in stages
    assert set(told("clean").report.seconds) <= set(names)


def test_two_runs_of_one_spec_agree(tiny, tmp_path):
    """Also where dropout draws, and whether features are computed or read from the cache."""
    from equivcheck.pipeline import run_document

    document = tiny.patched({"backbone.cut": "dropout"})
    first, second = (as_dict(run_document(document, cache_dir=folder)) for folder in (tmp_path, tmp_path))
    del first["seconds"], second["seconds"]
    assert first["findings"][0]["code"] == "EQ401"
    assert {curve["arm"] for curve in first["curves"]} == {"bottleneck", "frozen", "repaired"}
    assert first == second
    assert list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dropout", "combined"])
def test_two_runs_of_a_fixture_agree(told, name, tmp_path):
    """In full and with other runs between them; the second has no cache to read from."""
    from equivcheck.pipeline import run_document

    document = load(FIXTURES / name / "spec.yaml")
    if name not in FULL:
        document = document.patched({"training.epochs": 2})
    first, second = as_dict(told(name).report), as_dict(run_document(document, cache_dir=tmp_path))
    del first["seconds"], second["seconds"]
    assert first == second


def test_training_to_nan_is_inconclusive(tiny):
    """Both curves are NaN alike, which says nothing about whether the arms train alike."""
    from equivcheck.pipeline import run_document

    diverging = tiny.patched({"training.optimizer": {"name": "sgd", "learning_rate": 1e38}})
    report = run_document(diverging, cache_dir=tiny.folder)
    assert (report.verdict, report.exit_code) == ("inconclusive", 3)
    assert "NaN" in report.summary


def test_only_the_selected_checks_judge(tiny):
    from equivcheck.pipeline import run_document

    broken = tiny.patched({"frozen.training.shuffle": False, "frozen.preprocessing": {"rescale": 0.1}})
    report = run_document(broken, select=["eq2", "EQ103"], ignore=["EQ103"], cache_dir=tiny.folder, curves=False)
    assert (errors(report), report.curves) == (["EQ201"], ())
    left_out = {skipped.code for skipped in report.skipped if skipped.reason == "not selected"}
    assert left_out == {check.code for check in all_checks()} - {
        check.code for check in all_checks() if check.code.startswith("EQ2")
    }


def test_missing_files_are_reported_before_anything_is_built():
    from equivcheck.pipeline import run_document

    document = load(FIXTURES / "clean" / "spec.yaml").patched({"data.train": {"directory": "nowhere"}})
    with pytest.raises(SpecError, match="no such folder"):
        run_document(document)
