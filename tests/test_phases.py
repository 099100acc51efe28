"""A training in phases from end to end: each phase is judged, and said to be so."""

from __future__ import annotations

import json

import pytest

from equivcheck.report.json_format import dumps, loads

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

SGD = {"name": "sgd", "learning_rate": 0.01}


@pytest.fixture(scope="module")
def ran(tiny):
    """Runs the tiny spec in two phases, each combination once."""
    from equivcheck.pipeline import run_document

    kept = {}

    def run(tuned, *, replay=False, **patch):
        key = json.dumps([tuned, patch, replay])
        if key not in kept:
            phases = {"head": {}, "tuned": {"epochs": 1, **tuned}}
            kept[key] = run_document(tiny.patched({"training.phases": phases, **patch}), replay=replay)
        return kept[key]

    return run


def errors(report):
    return {found.code: found for found in report.findings if found.severity == "error"}


def test_phases_in_which_nothing_is_unfrozen_are_equivalent(ran):
    report = ran({"optimizer": SGD})
    assert report.verdict == "equivalent", report.summary
    assert [(phase.name, phase.bottleneck, phase.frozen) for phase in report.phases] == [
        ("head", 2, 2),
        ("tuned", 1, 1),
    ]
    assert {len(curve.values) for curve in report.curves} == {3}
    reset = next(cleared for cleared in report.cleared if cleared.code == "EQ608")
    assert reset.phases == ("tuned",)
    assert reset.measured == {"bottleneck_steps_before": 6, "frozen_steps_before": 6}


def test_what_is_unfrozen_is_found_in_its_phase(ran):
    report = ran({"unfreeze": True, "optimizer": SGD})
    assert report.verdict == "divergent"
    found = errors(report)
    assert set(found) == {"EQ402", "EQ501"}
    for finding in found.values():
        assert finding.phases == ("tuned",)
        assert finding.verified
    assert found["EQ501"].repair.patch == {"frozen.training.phases.tuned.unfreeze": False}
    assert found["EQ402"].repair.patch == {"frozen.training.phases.tuned.unfreeze_batchnorm": False}
    head, tuned = report.phases
    assert (head.batch_statistics, tuned.batch_statistics) == (0, 1)
    assert head.moved < tuned.moved
    assert head.first_divergence.training is None
    assert tuned.first_divergence.training == "backbone/bn"


def test_the_first_phase_agrees_to_the_last_bit(ran):
    curves = {(curve.arm, curve.metric): curve.values[:2] for curve in ran({"unfreeze": True}).curves}
    for metric in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert curves["bottleneck", metric] == curves["frozen", metric]


def test_without_batchnorm_only_the_weights_differ(ran):
    report = ran({"unfreeze": True, "unfreeze_batchnorm": False})
    assert set(errors(report)) == {"EQ501"}
    assert report.phases[1].batch_statistics == 0


def test_a_defect_of_all_phases_is_said_once(ran):
    report = ran({"optimizer": SGD}, **{"frozen.training.shuffle": False})
    found = [finding for finding in report.findings if finding.code == "EQ103"]
    assert [finding.phases for finding in found] == [("head", "tuned")]


def test_an_optimizer_that_only_one_arm_resets(ran):
    report = ran({}, **{"frozen.training.phases": {"head": {}, "tuned": {"epochs": 1, "recompile": False}}})
    found = errors(report)["EQ608"]
    assert found.phases == ("tuned",)
    assert (found.measured["bottleneck_steps_taken"], found.measured["frozen_steps_taken"]) == (0, 6)
    assert found.repair.patch == {"frozen.training.phases.tuned.recompile": True}
    assert found.verified


def test_unfreezing_without_compiling_again(ran):
    report = ran({"unfreeze": True, "recompile": False})
    found = errors(report)["EQ503"]
    assert found.phases == ("tuned",)
    assert found.repair.patch == {"frozen.training.phases.tuned.recompile": True}
    # The forgotten compile is why the backbone does not train: its curves are those of the bottleneck arm.
    curves = {(curve.arm, curve.metric): curve.values for curve in report.curves}
    assert curves["bottleneck", "val_accuracy"] == curves["frozen", "val_accuracy"]


def test_a_phase_of_one_arm_only(ran):
    report = ran({}, bottleneck={"training": {"phases": {"tuned": None}}})
    found = errors(report)["EQ605"]
    assert found.phases == ("tuned",)
    assert found.measured == {"frozen_epochs": 1, "bottleneck_epochs": 0}
    assert found.verified
    assert [(phase.bottleneck, phase.frozen) for phase in report.phases] == [(2, 2), (None, 1)]


def test_shares_are_of_phases_too(ran):
    report = ran({"unfreeze": True, "optimizer": SGD}, replay=True)
    assert report.attribution is not None
    assert {share["code"] for share in report.attribution["shares"]} == {"EQ402", "EQ501"}
    total = sum(share["share"] for share in report.attribution["shares"]) + report.attribution["residual"]
    assert total == pytest.approx(report.attribution["gap"])


def test_the_report_survives_its_json(ran):
    report = ran({"unfreeze": True, "optimizer": SGD})
    again = loads(dumps(report))
    assert again.phases == report.phases
    assert [finding.phases for finding in again.findings] == [finding.phases for finding in report.findings]


@pytest.fixture
def guarded(tiny):
    """A model that trains in two phases, each with a guard; and the spec that guards it."""
    from equivcheck.arms.build import Builder
    from equivcheck.callback import EquivalenceGuard
    from equivcheck.spec import resolve

    def fits(tuned):
        path = tiny.folder / "phases.yaml"
        phases = json.dumps({"head": {}, "tuned": {"unfreeze": tuned}}).replace('"', "")
        path.write_text(tiny.text.replace("seed: 0}", f"seed: 0, phases: {phases}}}"), encoding="utf-8")
        arm = Builder(resolve(tiny)).build("frozen")

        def fit():
            guard = EquivalenceGuard(path, on_divergence="log")
            arm.model.fit(arm.train.feed.x, arm.train.feed.y, epochs=1, verbose=0, callbacks=[guard])
            return {finding.code for finding in guard.findings}

        return arm.model, fit

    return fits


def test_the_guard_lets_a_phase_unfreeze_and_tells_of_batch_statistics(guarded):
    model, fit = guarded("true")
    assert fit() == set()
    base = model.get_layer("backbone")
    base.get_layer("conv").trainable = True
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert fit() == set()
    assert fit() == set()  # its weights have moved by now
    base.trainable = True
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert "EQ402" in fit()


def test_the_guard_holds_to_a_spec_that_unfreezes_nothing(guarded):
    model, fit = guarded("false")
    model.get_layer("backbone").trainable = True
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert "EQ501" in fit()
