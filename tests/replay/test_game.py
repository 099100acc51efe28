"""The game on values that are known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.replay.game import (
    coalitions,
    from_screens,
    interactions,
    interval,
    mean_of,
    sampled,
    shapley,
    smallest_repair,
)

NAMES = ("a", "b", "c")


def additive(some):
    return {"a": 29.0, "b": 9.0, "c": 0.0}["a"] * ("a" in some) + 9.0 * ("b" in some)


def only_together(some):
    return 40.0 if {"a", "b"} <= some else 0.0


def masking(some):
    return 40.0 if {"a", "b"} & some else 0.0


def helping(some):
    return 30.0 * ("a" in some) - 10.0 * ("b" in some)


@pytest.mark.parametrize(
    ("value", "shares"),
    [
        (additive, {"a": 29, "b": 9, "c": 0}),
        (only_together, {"a": 20, "b": 20, "c": 0}),
        (masking, {"a": 20, "b": 20, "c": 0}),
        (helping, {"a": 30, "b": -10, "c": 0}),
    ],
)
def test_shares_of_known_games(value, shares):
    assert shapley(NAMES, value) == pytest.approx(shares)
    assert from_screens(NAMES, value) == pytest.approx(shares)  # none of them has more than pairs
    assert sampled(NAMES, value, 4, seed=0) == pytest.approx(shares)  # nor is there an error then


def test_shares_add_up_whatever_the_game():
    draw = np.random.default_rng(0)
    names = tuple("abcde")
    values = {some: draw.uniform(-50, 50) for some in coalitions(names)}
    total = values[frozenset(names)] - values[frozenset()]
    assert sum(shapley(names, values.__getitem__).values()) == pytest.approx(total)
    assert sum(sampled(names, values.__getitem__, 3, seed=1).values()) == pytest.approx(total)


def test_sampling_comes_close_to_the_exact_shares():
    draw = np.random.default_rng(0)
    names = tuple("abcde")
    values = {some: draw.uniform(-1, 1) for some in coalitions(names)}
    exact, near = shapley(names, values.__getitem__), sampled(names, values.__getitem__, 2000, seed=1)
    assert all(abs(exact[one] - near[one]) < 0.05 for one in names)


def test_what_three_make_together_is_left_over_by_the_screens():
    def value(some):
        return 30.0 if some >= set(NAMES) else 0.0

    assert shapley(NAMES, value) == pytest.approx(dict.fromkeys(NAMES, 10))
    assert sum(from_screens(NAMES, value).values()) == pytest.approx(45)


def test_pairs_that_act_together_and_pairs_that_hide_each_other():
    assert interactions(NAMES, only_together) == pytest.approx({("a", "b"): 40, ("a", "c"): 0, ("b", "c"): 0})
    assert interactions(NAMES, masking)["a", "b"] == pytest.approx(-40)
    assert set(interactions(NAMES, additive).values()) == {0.0}


def test_every_coalition_comes_once_and_the_telling_ones_first():
    found = list(coalitions(tuple("abcd")))
    assert len(found) == len(set(found)) == 16
    assert found[:2] == [frozenset("abcd"), frozenset()]
    assert {len(some) for some in found[2:6]} == {3}
    assert {len(some) for some in found[6:10]} == {1}
    assert list(coalitions(("a",))) == [frozenset("a"), frozenset()]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(additive, ("a", "b")), (only_together, ("a",)), (masking, ("a", "b")), (lambda _some: 0.0, ())],
)
def test_the_smallest_repair(value, expected):
    assert smallest_repair(NAMES, value, tolerance=0.5) == expected


def test_no_repair_closes_a_gap_that_no_cause_makes():
    assert smallest_repair(NAMES, lambda _some: 5.0, tolerance=0.5) is None


def test_few_repetitions_say_nothing():
    assert interval([1.0]) is None
    assert interval([1.0, 2.0]) is None
    low, high = interval([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2)
    assert high - 2 == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    assert interval([2.0, 2.0, 2.0]) == (2.0, 2.0)


def test_mean_of_repetitions():
    assert mean_of([{"a": 1.0}, {"a": 3.0}]) == {"a": 2.0}
