"""The effect of advice whose effect is known by construction; the trainings are stood in for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equivcheck.measured import Curve
from equivcheck.replay.attribution import Replays, train_all, wanted
from equivcheck.replay.what_if import DECLARED, Trial, effect_of, metric_of
from equivcheck.spec import Advice


def trial(before, after, *, repetitions=5, noise=0.0, metric="val_accuracy", **facts):
    """A world in which the gap, in percentage points, is one number before and another after."""

    def train(present, repetition):
        chance = np.random.default_rng([repetition, len(present)]).normal(scale=noise) if noise else 0.0
        apart = ((before if DECLARED in present else after) + chance) / 100
        return [Curve("bottleneck", metric, (0.1, 0.9)), Curve("frozen", metric, (0.1, 0.9 + apart))]

    replays = Replays((DECLARED,), train, {"accuracy": 100, "val_accuracy": 100})
    train_all(wanted(replays, *range(repetitions)), lambda: False)
    return Trial(Advice(advice="do this", patch={"backbone.cut": "fc1"}, source="a friend"), replays, **facts)


def test_advice_that_closes_the_gap_helps():
    found = effect_of(trial(-40.0, -10.0, gone=["EQ401"]), "val_accuracy")
    assert found["effect"] == "helps"
    assert [found[key] for key in ("gap", "gap_then", "closed", "bottleneck", "frozen")] == pytest.approx(
        [-40.0, -10.0, 30.0, 0.9, 0.8]
    )
    assert (found["low"], found["high"]) == pytest.approx((30.0, 30.0))
    assert (found["advice"], found["source"], found["patch"]) == ("do this", "a friend", {"backbone.cut": "fc1"})
    assert (found["gone"], found["repetitions"], found["missing"]) == (["EQ401"], 5, "")


def test_a_gap_of_the_other_sign_is_a_gap_as_well():
    found = effect_of(trial(-10.0, 40.0), "val_accuracy")
    assert (found["effect"], found["closed"]) == ("worse", pytest.approx(-30.0))


def test_advice_that_changes_nothing_has_no_effect():
    assert effect_of(trial(-40.0, -40.0), "val_accuracy")["effect"] == "none"


def test_one_sample_is_no_effect():
    assert effect_of(trial(-40.0, -39.0), "val_accuracy")["effect"] == "none"


def test_what_may_be_chance_is_no_effect():
    found = effect_of(trial(-40.0, -37.0, noise=15.0), "val_accuracy")
    assert found["low"] < 0 < found["high"]
    assert found["effect"] == "none"


def test_one_training_has_no_interval():
    found = effect_of(trial(-40.0, 0.0, repetitions=1), "val_accuracy")
    assert (found["effect"], found["low"], found["repetitions"]) == ("helps", None, 1)


def test_what_was_not_trained_is_not_known():
    found = effect_of(trial(-40.0, 0.0, repetitions=0, missing="the budget was spent before"), "val_accuracy")
    assert (found["effect"], found["closed"], found["missing"]) == ("unknown", None, "the budget was spent before")


def test_training_that_reached_nan_is_not_known():
    found = effect_of(trial(-40.0, math.nan), "val_accuracy")
    assert (found["effect"], found["missing"]) == ("unknown", "no training of it ended with numbers")


def test_the_surest_gap_is_told_where_nothing_else_is():
    assert metric_of([trial(-40.0, 0.0, metric="accuracy")]) == "accuracy"
