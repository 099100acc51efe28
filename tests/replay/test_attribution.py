"""Shares of gaps whose causes are known by construction: the trainings are stood in for, everything else is real."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from equivcheck.measured import Curve
from equivcheck.replay.attribution import METRICS, Replays, attribution, train_all, wanted

SAMPLES = {"accuracy": 100, "val_accuracy": 100}


def replays(effect, causes="abc", noise=0.0):
    """A world in which the final accuracies of the two arms differ by ``effect(present)`` percentage points."""
    trained = []

    def train(present, repetition):
        trained.append((present, repetition))
        chance = np.random.default_rng([repetition, *sorted(map(ord, present))]).normal(scale=noise) if noise else 0.0
        apart = (effect(present) + chance) / 100
        return [
            Curve(arm, metric, (0.5, 0.9 + (apart if arm == "frozen" else 0.0)))
            for arm in ("bottleneck", "frozen")
            for metric in METRICS
        ]

    found = Replays(tuple(causes), train, SAMPLES)
    return found, trained


def divided(effect, *, repetitions=3, **world):
    found, _ = replays(effect, **world)
    return attribution(found, train_all(wanted(found, *range(repetitions)), lambda: False))


def shares(found):
    return {share["code"]: share["share"] for share in found["shares"]}


TRUTHS = {
    "no effect": (lambda some: -40.0 * ("a" in some), {"a": -40, "b": 0, "c": 0}),
    "two that only act together": (lambda some: -40.0 * (set("ab") <= some), {"a": -20, "b": -20, "c": 0}),
    "two that mask each other": (lambda some: -40.0 * bool(set("ab") & some), {"a": -20, "b": -20, "c": 0}),
    "one that helps": (lambda some: -40.0 * ("a" in some) + 10.0 * ("b" in some), {"a": -40, "b": 10, "c": 0}),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_known_effects(name):
    effect, expected = TRUTHS[name]
    found = divided(effect)
    assert shares(found) == pytest.approx(expected, abs=1e-9)
    assert found["residual"] == 0
    assert found["missing"] == ""


@pytest.mark.parametrize("name", TRUTHS)
def test_known_effects_under_noise_lie_in_their_intervals_or_within_two_points(name):
    effect, expected = TRUTHS[name]
    found = divided(effect, noise=1.0, repetitions=5)
    for share in found["shares"]:
        truth = expected[share["code"]]
        assert share["low"] <= truth <= share["high"] or abs(share["share"] - truth) <= 2


def test_shares_and_residual_add_up_to_the_gap():
    found = divided(lambda some: -7.0 * len(some) ** 2 - 3.0, noise=2.0)
    assert sum(shares(found).values()) + found["residual"] == pytest.approx(found["gap"])
    for curve in found["curves"]:
        assert sum(curve["shares"].values()) + curve["residual"] == pytest.approx(curve["gap"])


def test_what_no_cause_explains_is_the_residual():
    assert divided(lambda some: -20.0 * ("a" in some) - 3.0)["residual"] == pytest.approx(-3)


def test_the_largest_share_comes_first_and_screens_are_told():
    found = divided(TRUTHS["two that only act together"][0])
    first = found["shares"][0]
    assert first["code"] in "ab"
    assert (first["alone"], first["repaired"]) == (0, pytest.approx(-40))
    assert found["smallest"] in (["a"], ["b"])


@pytest.mark.parametrize(("name", "together"), [("two that only act together", -40), ("two that mask each other", 40)])
def test_interactions_are_named(name, together):
    (found,) = divided(TRUTHS[name][0])["interactions"]
    assert (found["codes"], found["share"]) == (["a", "b"], pytest.approx(together))


def test_no_interaction_is_named_within_the_noise():
    assert divided(TRUTHS["one that helps"][0], noise=0.5, repetitions=5)["interactions"] == []


def test_one_repetition_has_no_interval():
    found = divided(TRUTHS["no effect"][0], repetitions=1)
    assert found["repetitions"] == 1
    assert all(share["low"] is None and share["high"] is None for share in found["shares"])


def test_leads_with_the_curve_that_is_surest():
    def train(_present, repetition):
        final = {"val_accuracy": 0.5 + 0.2 * repetition, "accuracy": 0.4, "val_loss": 1.0, "loss": 1.0}
        return [
            Curve(arm, metric, (value if arm == "frozen" else 0.8 if metric in SAMPLES else 1.0,))
            for arm in ("bottleneck", "frozen")
            for metric, value in final.items()
        ]

    found = Replays(("a",), train, SAMPLES)
    train_all(wanted(found, *range(3)), lambda: False)
    assert attribution(found, "")["metric"] == "accuracy"


def test_curves_that_are_as_sure_are_told_in_the_order_in_which_people_look_at_them():
    assert divided(TRUTHS["no effect"][0])["metric"] == "val_accuracy"


def test_a_spent_budget_leaves_the_screens():
    found, trained = replays(lambda some: -40.0 * (set("abc") <= some))
    missing = train_all(wanted(found, *range(3)), lambda: len(trained) >= 8)
    assert missing == "the budget was spent after 8 of 24 replays"
    told = attribution(found, missing)
    assert told["repetitions"] == 1
    assert told["missing"] == missing


def test_screens_alone_put_what_they_cannot_divide_into_the_residual():
    causes = "abcd"
    found, trained = replays(lambda some: -40.0 * (set(causes) <= some), causes)
    train_all(wanted(found, *range(1)), lambda: len(trained) >= 10)
    told = attribution(found, "")
    assert shares(told) == pytest.approx(dict.fromkeys(causes, -20))
    assert told["residual"] == pytest.approx(40)


def test_too_little_is_no_attribution():
    found, trained = replays(TRUTHS["no effect"][0])
    assert "after 3 of" in train_all(wanted(found, *range(1)), lambda: len(trained) >= 3)
    assert attribution(found, "") is None


def test_the_declared_pair_is_trained_whatever_the_budget():
    found, trained = replays(TRUTHS["no effect"][0])
    train_all(wanted(found, *range(3)), lambda: True)
    assert trained == [(frozenset("abc"), 0)]


def test_what_is_soon_asked_for_is_begun_ahead():
    """Once each, in the order in which it is asked for, and no more of it than is allowed."""
    found, trained = replays(TRUTHS["no effect"][0])
    begun, most = [], []

    def begin(*key):
        begun.append(key)
        most.append(len(begun) - len(trained))

    found.begin, found.ahead = begin, 3
    assert train_all(wanted(found, *range(2)), lambda: False) == ""
    assert begun == trained
    assert max(most) == 3
    assert train_all(wanted(found, *range(2)), lambda: False) == ""
    assert begun == trained


def test_nothing_is_begun_behind_a_spent_budget():
    found, trained = replays(TRUTHS["no effect"][0])
    begun = []
    found.begin, found.ahead = lambda *key: begun.append(key), 3
    train_all(wanted(found, *range(2)), lambda: len(trained) >= 4)
    assert len(begun) == 6


def test_an_interrupt_keeps_what_is_done():
    found, _ = replays(TRUTHS["no effect"][0])
    plain, count = found.train, itertools.count()

    def train(present, repetition):
        if next(count) == 9:
            raise KeyboardInterrupt
        return plain(present, repetition)

    found.train = train
    assert train_all(wanted(found, *range(3)), lambda: False) == "interrupted after 9 of 24 replays"
    assert shares(attribution(found, "")) == pytest.approx(TRUTHS["no effect"][1])


def test_an_interrupt_at_once_says_so():
    found, _ = replays(TRUTHS["no effect"][0])

    def train(_present, _repetition):
        raise KeyboardInterrupt

    found.train = train
    assert train_all(wanted(found, *range(3)), lambda: False) == "interrupted after 0 of 24 replays"
    assert attribution(found, "") is None


def test_a_training_that_reached_nan_says_nothing():
    assert divided(lambda some: float("nan") if "a" in some else 0.0) is None


def test_many_causes_are_sampled():
    causes = "abcdefghi"
    worth = {name: -float(place) for place, name in enumerate(causes)}
    found, trained = replays(lambda some: sum(worth[one] for one in some), causes)
    told = attribution(found, train_all(wanted(found, *range(1)), lambda: False))
    assert len(trained) < 2 ** len(causes) / 4
    assert shares(told) == pytest.approx(worth)
    assert told["residual"] == pytest.approx(0)


def test_what_comes_next_is_begun_before_anybody_waits_for_what_comes_first():
    """Also where it belongs to something else; and nothing is begun twice."""
    log = []

    def replays(name):
        def note(what):
            return lambda present, repetition: log.append((what, name, len(present), repetition)) or ()

        return Replays(("EQ1",), note("train"), {}, note("begin"), ahead=3)

    one, other = replays("one"), replays("other")
    assert train_all([*wanted(one, 0), *wanted(other, 0)], lambda: False) == ""
    assert train_all([*wanted(one, 0), *wanted(other, 0, 1)], lambda: False) == ""
    first = [("begin", "one", 1, 0), ("begin", "one", 0, 0), ("begin", "other", 1, 0), ("train", "one", 1, 0)]
    assert log[:4] == first
    assert len(log) == len(set(log)) == 2 * (2 + 4)
