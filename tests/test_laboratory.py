"""Building, measuring, training and repairing, on a spec that is measured in a second."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from equivcheck.catalog import all_checks
from equivcheck.errors import UserCodeError
from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture(scope="module")
def laboratory(tiny):
    from equivcheck.arms.build import Builder
    from equivcheck.laboratory import Laboratory

    return Laboratory(all_checks(), Builder(resolve(tiny)), lambda *_: None)


@pytest.fixture(scope="module")
def clean(laboratory, tiny):
    return laboratory.probe(resolve(tiny))


@pytest.fixture(scope="module")
def dropping(laboratory, tiny, clean):
    """A clean spec cut behind the backbone's dropout."""
    return laboratory.probe(resolve(tiny.patched({"backbone.cut": "dropout"})), before=clean)


@pytest.fixture(scope="module")
def curves(laboratory, dropping):
    return laboratory.train(dropping).curves


def codes(findings):
    return [finding.code for finding in findings]


def test_an_arm_that_did_not_change_is_taken_over(laboratory, tiny, clean):
    """It was left as it was found, so measuring it again would tell the same."""
    again = laboratory.probe(resolve(tiny.patched({"frozen.backbone.call": "flat"})), before=clean)
    assert again.bottleneck is clean.bottleneck
    assert again.frozen is not clean.frozen
    assert again.errors == ()


def test_an_arm_that_changed_is_built_afresh(laboratory, tiny, clean, dropping):
    assert dropping.bottleneck is not clean.bottleneck
    same = laboratory.builder.gives_same
    assert same("bottleneck", resolve(tiny.patched({"frozen.labels": "one_hot"})))
    assert not same("frozen", resolve(tiny.patched({"frozen.labels": "one_hot"})))
    assert not same("bottleneck", resolve(tiny.patched({"bottleneck.training": {"seed": 1}})))


def test_features_depend_on_the_other_arms_batch_size(laboratory, tiny):
    """They are extracted at the frozen arm's batch size, because a batch of one runs other kernels."""
    other = resolve(tiny.patched({"frozen.training": {"batch_size": 5}}))
    assert not laboratory.builder.gives_same("bottleneck", other)


def test_a_taken_over_arm_gives_the_same_evidence(laboratory, tiny, clean, dropping):
    """Probing on a used arm and on a new one: the same findings, to the last digit."""
    patch = {"backbone.cut": "dropout", "frozen.training": {"shuffle": False}}
    used = laboratory.probe(resolve(tiny.patched(patch)), before=dropping)
    fresh = laboratory.probe(resolve(tiny.patched(patch)))
    assert used.bottleneck is dropping.bottleneck
    assert used.examination == fresh.examination
    assert used.evidence.rows == fresh.evidence.rows


def test_training_leaves_the_arms_as_they_were(laboratory, dropping, curves):
    """So an arm can be trained again, as the repaired pair's bottleneck arm is; dropout draws the same."""
    assert laboratory.train(dropping).curves == curves


def test_nothing_to_repair_trains_nothing(laboratory, clean):
    trial = laboratory.try_repairs(clean, ())
    assert (trial.findings, trial.curves) == (clean.examination.findings, ())


def test_the_repaired_arm_is_trained_where_the_others_were(laboratory, dropping, curves):
    trial = laboratory.try_repairs(dropping, curves)
    assert codes(trial.findings) == ["EQ401"]
    assert trial.findings[0].verified is True
    trained = {(curve.arm, curve.metric): curve.values for curve in trial.curves}
    assert trained["bottleneck", "loss"] == trained["repaired", "loss"] != trained["frozen", "loss"]


def test_a_cause_that_a_repair_uncovers_is_added_and_repaired_too(laboratory, tiny, clean):
    """Behind the dropped tail lies an order that nobody could compare before."""
    patch = {"frozen.training": {"drop_remainder": True, "shuffle": False}}
    probed = laboratory.probe(resolve(tiny.patched(patch)), before=clean)
    assert codes(probed.errors) == ["EQ102"]
    trial = laboratory.try_repairs(probed, ())
    assert {finding.code: finding.verified for finding in trial.findings} == {"EQ102": True, "EQ103": True}
    assert all(finding.location is not None for finding in trial.findings)


def test_a_repair_that_does_not_help_is_said_not_to(laboratory, dropping, curves):
    """Nothing is called a repair on the strength of its wording."""
    (finding,) = dropping.errors
    useless = replace(finding, repair=replace(finding.repair, patch={"frozen.backbone.call": "flat"}))
    probed = replace(dropping, examination=replace(dropping.examination, findings=(useless,)))
    trial = laboratory.try_repairs(probed, curves)
    assert [finding.verified for finding in trial.findings] == [False]
    assert "repaired" not in {curve.arm for curve in trial.curves}


def test_a_finding_without_a_patch_stays_untried(laboratory, dropping):
    (finding,) = dropping.errors
    bare = replace(finding, repair=replace(finding.repair, patch=None))
    probed = replace(dropping, examination=replace(dropping.examination, findings=(bare,)))
    assert laboratory.try_repairs(probed, ()).findings == (bare,)


def test_an_arm_whose_loss_refuses_its_labels_has_no_curves(laboratory, tiny, clean):
    """There fit raises; that is a finding, and the other arm trains all the same."""
    patch = {"frozen.training": {"loss": "categorical_crossentropy"}}
    probed = laboratory.probe(resolve(tiny.patched(patch)), before=clean)
    assert codes(probed.errors) == ["EQ302"]
    assert {curve.arm for curve in laboratory.train(probed).curves} == {"bottleneck"}


@pytest.mark.parametrize(
    ("made_by", "name"),
    [
        (("a:b", None), "a:b"),
        ((None, "c:d"), "c:d"),
        (("a:b", "c:d"), "a:b or c:d"),
        (("a:b", "a:b"), "a:b"),
    ],
)
def test_a_layer_of_the_users_that_breaks_while_the_arms_are_compared(made_by, name):
    """A line of the user's raised; which of two arms it belongs to is not known."""
    from equivcheck.laboratory import _blaming

    message = rf"^{name}: comparing the arms raised KeyError: 'x' \(.*\.py:\d+\)$"
    arms = [SimpleNamespace(made_by=made) for made in made_by]
    with pytest.raises(UserCodeError, match=message), _blaming(*arms):
        raise KeyError("x")


@pytest.mark.parametrize("made_by", [None, "a:b"])
def test_a_bug_of_ours_is_not_blamed_on_the_user(made_by):
    """Where no line of the user's took part it stays an internal error, in an arm of the user's as well."""
    from equivcheck.laboratory import _blaming

    blaming = _blaming(SimpleNamespace(made_by=made_by), SimpleNamespace(made_by=None))
    blaming.__enter__()
    # Raised nowhere, so by no line of this file either: it is handed on as it is.
    assert blaming.__exit__(TypeError, TypeError("ours"), None) is False


def test_a_check_that_fails_makes_the_verdict_inconclusive(tiny, monkeypatch):
    """One broken check hides nothing that the others found, and nobody is told that all is well."""
    from equivcheck import pipeline

    class Broken:
        """Judges nothing."""

        code, name, requires, subject = "EQ888", "broken-check", (), "arms"

        def examine(self, _evidence):
            raise RuntimeError("boom")

    monkeypatch.setattr(pipeline, "all_checks", lambda: (*all_checks(), Broken()))
    report = pipeline.run_document(tiny, cache_dir=tiny.folder, curves=False)
    assert (report.verdict, report.exit_code) == ("inconclusive", 3)
    assert "EQ888" in report.summary
    (skipped,) = (skipped for skipped in report.skipped if skipped.code == "EQ888")
    assert skipped.reason == "the check itself failed: RuntimeError: boom"


def interrupted(*_args, **_kwargs):
    raise KeyboardInterrupt


ADVICE = [{"advice": f"cut at {cut}", "patch": {"backbone.cut": cut}} for cut in ("pool", "dropout")]


def test_an_interrupt_while_advice_is_followed_ends_all_that_was_to_come(laboratory, tiny, monkeypatch):
    """What was measured and trained by then is reported, and what is missing says why."""
    from equivcheck.laboratory import Laboratory

    probed = laboratory.probe(resolve(tiny.patched({"backbone.cut": "dropout", "what_if": ADVICE})))
    trial = laboratory.try_repairs(probed, laboratory.train(probed).curves)
    deadline = laboratory.allowance(1000.0).deadline()
    with monkeypatch.context() as patch:
        patch.setattr(Laboratory, "probe", interrupted)
        followed = laboratory.follow(probed, deadline)
    assert [each.missing for each in followed] == ["interrupted before"] * 2
    found, then = laboratory.attribute(laboratory.counterfactuals(probed, trial, deadline), trial, deadline)
    assert found is None
    assert then.undivided == "interrupted after 1 of 10 replays"
    assert [each["missing"] for each in laboratory.weigh(followed, None, deadline)] == ["interrupted before"] * 2


def test_an_interrupt_while_counterfactuals_are_trained_ends_the_repetitions_of_advice(
    laboratory, dropping, curves, monkeypatch
):
    import equivcheck.laboratory as module

    trial = laboratory.try_repairs(dropping, curves)
    deadline = laboratory.allowance(1000.0).deadline()
    with monkeypatch.context() as patch:
        patch.setattr(module.Counterfactuals, "_arm", interrupted)
        found, then = laboratory.attribute(laboratory.counterfactuals(dropping, trial, deadline), trial, deadline)
    assert deadline.passed()
    assert "interrupted after" in (found["missing"] if found else then.undivided)


def test_an_interrupt_while_counterfactuals_are_begun_ends_what_was_to_come(laboratory, dropping, curves, monkeypatch):
    import equivcheck.laboratory as module

    trial = laboratory.try_repairs(dropping, curves)
    deadline = laboratory.allowance(1000.0).deadline()
    with monkeypatch.context() as patch:
        patch.setattr(module.Counterfactuals, "begin", interrupted)
        replays = laboratory.counterfactuals(dropping, trial, deadline)
    assert deadline.passed()
    found, then = laboratory.attribute(replays, trial, deadline)
    assert "interrupted after 0 of" in (found["missing"] if found else then.undivided)


def test_counterfactuals_are_begun_before_advice_is_followed(laboratory, dropping, curves, monkeypatch):
    import equivcheck.laboratory as module

    begun, plain = [], module.Counterfactuals.begin

    def noted(self, present, repetition):
        begun.append((sorted(present), repetition))
        plain(self, present, repetition)

    monkeypatch.setattr(module.Counterfactuals, "begin", noted)
    trial = laboratory.try_repairs(dropping, curves)
    laboratory.counterfactuals(dropping, trial, laboratory.allowance(-1.0).deadline())
    assert begun == []
    laboratory.counterfactuals(dropping, trial, laboratory.allowance(1000.0).deadline())
    laboratory.rehearsals.workers.stop()
    assert len(begun) >= 2
    assert {repetition for _, repetition in begun} == {0}  # with another seed the arm would not be as it is measured


@pytest.fixture
def begun(monkeypatch):
    """The arms whose trainings were begun, with their seeds."""
    import equivcheck.laboratory as module

    found, plain = [], module.begin

    def noted(arm, *args, **kwargs):
        found.append((arm.name, arm.seed))
        return plain(arm, *args, **kwargs)

    monkeypatch.setattr(module, "begin", noted)
    return found


OTHER_SEEDS = [(name, seed) for seed in range(1, 5) for name in ("bottleneck", "frozen")]


def test_the_declared_arms_are_begun_from_other_seeds_beside_their_own_training(laboratory, dropping, curves, begun):
    """Which neither notices; and they are not begun again when they are asked for."""
    from equivcheck.trace.state import variables_of

    laboratory = replace(laboratory, _trained={})
    models = [each.arm.model for each in (dropping.bottleneck, dropping.frozen)]
    before = [np.array(variable) for model in models for variable in variables_of(model)]
    with laboratory.open():
        assert laboratory.train(dropping, replay=True).curves == curves
        assert begun == OTHER_SEEDS
        for variable, value in zip([each for model in models for each in variables_of(model)], before, strict=True):
            np.testing.assert_array_equal(np.array(variable), value)
        trial = laboratory.try_repairs(dropping, curves)
        deadline = laboratory.allowance(1000.0).deadline()
        beside, _ = laboratory.attribute(laboratory.counterfactuals(dropping, trial, deadline), trial, deadline)
    assert len(begun) == len(set(begun)) + 4  # the repaired frozen arm's seeds; the bottleneck arm is the same
    alone, _ = laboratory.attribute(laboratory.counterfactuals(dropping, trial, deadline), trial, deadline)
    assert beside == alone


def test_nothing_is_begun_that_nobody_will_ask_for(laboratory, clean, dropping, begun):
    laboratory.train(clean, replay=True)
    laboratory.train(dropping, replay=False)
    laboratory.train(dropping, laboratory.allowance(0.0), replay=True)
    assert begun == []


def test_what_was_begun_ends_with_a_training_that_takes_too_long(laboratory, dropping, begun, monkeypatch):
    import equivcheck.laboratory as module

    def ended(*_, **__):
        raise module.OverBudgetError(200.0)

    laboratory = replace(laboratory, _trained={})
    monkeypatch.setattr(type(laboratory), "_train", ended)
    assert laboratory.train(dropping, laboratory.allowance(1000.0), replay=True).left_out > 200.0
    assert begun == OTHER_SEEDS
    assert laboratory.rehearsals.workers._pool is None
    assert not laboratory._begun


def test_a_spent_budget_says_that_the_gap_was_not_divided(laboratory, dropping, curves):
    trial = laboratory.try_repairs(dropping, curves)
    spent = laboratory.allowance(-1.0).deadline()
    found, then = laboratory.attribute(laboratory.counterfactuals(dropping, trial, spent), trial, spent)
    assert found is None
    assert then.undivided == "the budget was spent after 1 of 10 replays"


def test_a_training_that_proves_too_long_is_told_with_the_other_one_s_time(laboratory, dropping, monkeypatch):
    """And not with the bound that was enough to begin."""
    import equivcheck.laboratory as module

    def ended(*_, **__):
        raise module.OverBudgetError(200.0)

    monkeypatch.setattr(module, "expected_seconds", lambda *_, exactly=True, **__: 3.0 if exactly else 40.0)
    monkeypatch.setattr(type(laboratory), "_train", ended)
    assert laboratory.train(dropping, laboratory.allowance(100.0)).left_out == 203.0


def test_only_as_many_paces_are_measured_as_it_takes_to_know(laboratory, dropping, monkeypatch):
    """The one that is bound to take longest first; mostly the other need not be asked."""
    import equivcheck.laboratory as module

    asked = []

    def seconds(observed, _rehearsals, *, exactly=True):
        if exactly:
            asked.append(observed.arm.name)
        return (1.0 if exactly else 400.0) if observed.arm.name == "frozen" else (2.0 if exactly else 20.0)

    monkeypatch.setattr(module, "expected_seconds", seconds)
    arms = [dropping.bottleneck, dropping.frozen]
    assert laboratory._expected(arms, laboratory.allowance(1000.0)) == [20.0, 400.0]
    assert asked == []
    assert laboratory._expected(arms, laboratory.allowance(100.0)) == [20.0, 1.0]
    assert asked == ["frozen"]
    assert laboratory._expected(arms, laboratory.allowance(1.0)) == [2.0, 1.0]
