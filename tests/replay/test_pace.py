"""How long a training will take, and trainings that would take longer than they may."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def observed(tiny):
    """An arm of the tiny spec with a patch, as it is measured."""
    from equivcheck.arms.build import Builder
    from equivcheck.trace.observed import observe

    return lambda patch, name="frozen": observe(Builder(resolve(tiny.patched(patch))).build(name))


@pytest.fixture
def expected(monkeypatch):
    """What is expected where a step takes two seconds."""
    from equivcheck.replay import pace
    from equivcheck.replay.rehearse import Rehearsals

    monkeypatch.setattr(pace, "fit_one_step", lambda _arm: 2.0)
    monkeypatch.setattr(pace, "pace_before_cut", lambda _arm, _rehearsals: None)
    return lambda observed: pace.expected_seconds(observed, Rehearsals())


def test_every_sample_counts_in_every_epoch(expected, observed):
    """20 samples of training and 20 of validation, 8 in a step of two seconds, 5 epochs."""
    assert expected(observed({"training.epochs": 5}, "bottleneck")) == 2.0 / 8 * 40 * 5


def test_a_network_that_is_run_once_counts_once(expected, observed):
    assert expected(observed({"training.epochs": 5})) == 2.0 / 8 * 40


def test_a_network_that_is_cut_nowhere_counts_in_every_epoch(expected, observed):
    patch = {"training.epochs": 5, "backbone.cut": "dropout", "backbone.freeze": False}
    assert expected(observed(patch)) == 2.0 / 8 * 40 * 5


def test_the_step_that_was_measured_is_a_bound(observed, monkeypatch):
    """No further step is taken to know that much."""
    from equivcheck.replay import pace
    from equivcheck.replay.rehearse import Rehearsals

    arm = observed({"training.epochs": 5}, "bottleneck")
    arm = replace(arm, step=replace(arm.step, seconds=3.0))
    monkeypatch.setattr(pace, "fit_one_step", None)
    assert pace.expected_seconds(arm, Rehearsals(), exactly=False) == 3.0 / 8 * 40 * 5


@pytest.mark.parametrize(
    ("patch", "graphs"),
    [
        ({}, [True]),  # nothing before the cut is told training from evaluation
        ({"keras_semantics": "2.1", "backbone.cut": "dropout"}, [True, False]),
    ],
    ids=str,
)
def test_the_pace_of_a_network_that_is_cut_is_that_of_what_its_training_runs(observed, patch, graphs, monkeypatch):
    """No step of fit is traced for it."""
    from equivcheck.replay import features, pace
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train
    from equivcheck.trace.state import variables_of

    arm, rehearsals = observed({"training.epochs": 5, **patch}), Rehearsals()
    monkeypatch.setattr(pace, "fit_one_step", None)
    traced, plain = [], features._traced
    monkeypatch.setattr(features, "_traced", lambda *a, **k: traced.append(k["training"]) or plain(*a, **k))
    assert 0 < pace.expected_seconds(arm, rehearsals) < 60
    assert traced == [True]
    before = [np.array(variable) for variable in variables_of(arm.arm.model)]
    assert 0 < pace.expected_seconds(arm, rehearsals) < 60
    for variable, value in zip(variables_of(arm.arm.model), before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)
    train(arm.arm, lambda *_: None, rehearsals=rehearsals)
    assert traced == graphs  # that of evaluation came with the training


def test_the_clock_leaves_the_arm_alone(observed):
    import numpy as np

    from equivcheck.replay.pace import expected_seconds
    from equivcheck.replay.rehearse import Rehearsals

    arm = observed({"backbone.cut": "dropout"})
    before = [np.array(variable) for variable in arm.arm.model.variables]
    assert 0 < expected_seconds(arm, Rehearsals()) < 60
    for variable, value in zip(arm.arm.model.variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), value)


def test_a_training_ends_with_the_epoch_that_shows_how_long_it_takes(observed, monkeypatch):
    """It is not begun again by ``fit``, and says what all of it would have taken."""
    from equivcheck.replay import pace, patience
    from equivcheck.replay.training import train

    monkeypatch.setattr(patience, "_PATIENCE", 0.0)  # so that each epoch is told
    # The first epoch takes 40 seconds with what is compiled, each further one 30.
    told = []
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: 40.0 + 30.0 * (len(told) - 1) if told else 0.0))
    allowance = pace.Allowance(100.0, begun=0.0)
    with pytest.raises(pace.OverBudgetError) as ended:
        train(observed({"training.epochs": 5}).arm, allowance.guarded(lambda *done: told.append(done)))
    assert told == [(1, 5), (2, 5)]
    assert ended.value.seconds == 160.0


def test_arms_that_take_too_long_are_not_trained_and_the_report_says_how_to(tiny):
    from equivcheck.pipeline import run_document

    report = run_document(tiny, cache_dir=tiny.path.parent, budget=0.0)
    assert (report.curves, report.verdict) == ((), "inconclusive")
    assert "no difference was found, but the arms were not trained: that would take about" in report.summary
    assert "--budget" in report.summary
    broken = run_document(tiny.patched({"frozen.training.batch_size": 4}), cache_dir=tiny.path.parent, budget=0.0)
    assert (broken.curves, broken.verdict) == ((), "divergent")
    assert "The arms were not trained (that would take about" in broken.summary
