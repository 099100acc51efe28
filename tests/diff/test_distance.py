"""How far two arrays are apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equivcheck.diff.distance import differs, distance
from equivcheck.diff.tally import NOISE
from equivcheck.measured import Distance

A = np.array([[3.0, -4.0], [0.0, 2.0]], np.float32)


def test_equal_to_the_last_bit_is_exactly_nothing():
    """The cosine of a vector with itself may come out as 1 - 1e-16 when it is computed; it is not."""
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    assert distance(values, values.copy()) == Distance(0.0, 0.0, 1.0)


def test_nan_in_the_same_places_is_equal():
    values = np.array([1.0, np.nan, np.inf, -np.inf])
    assert distance(values, values.copy()) == Distance(0.0, 0.0, 1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("swapped", [False, True])
def test_nan_or_infinity_in_one_array_only_is_infinitely_far(value, swapped):
    broken = A.copy()
    broken[0, 0] = value
    gap = distance(broken, A) if swapped else distance(A, broken)
    assert (gap.max_abs, gap.max_rel) == (math.inf, math.inf)
    assert math.isnan(gap.cosine)
    assert differs(gap)


def test_relative_to_the_largest_value_of_the_reference():
    other = A + np.float32(0.5)
    assert distance(A, other).max_abs == 0.5
    assert distance(A, other).max_rel == 0.5 / 4
    assert distance(other, A).max_rel == 0.5 / 3.5


@pytest.mark.parametrize(("factor", "cosine"), [(2.0, 1.0), (-1.0, -1.0)])
def test_cosine_of_scaled_copies(factor, cosine):
    assert distance(A, A * factor).cosine == pytest.approx(cosine)


def test_cosine_of_unrelated_directions():
    assert distance(np.array([1.0, 0.0]), np.array([0.0, 1.0])).cosine == 0.0


def test_all_zeros_on_one_side():
    """No scale to be relative to, no direction to compare."""
    zeros = np.zeros_like(A)
    for gap, relative in ((distance(zeros, A), math.inf), (distance(A, zeros), 1.0)):
        assert (gap.max_abs, gap.max_rel, gap.cosine) == (4.0, relative, 0.0)
    assert distance(zeros, zeros) == Distance(0.0, 0.0, 1.0)


def test_integers_and_half_precision_do_not_overflow():
    assert distance(np.array([0], np.uint8), np.array([255], np.uint8)).max_abs == 255
    assert distance(np.array([60000], np.float16), np.array([-60000], np.float16)).max_abs == 120000


def test_nothing_at_all():
    assert distance(np.empty((0, 3)), np.empty((0, 3))) == Distance(0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("relative", "expected"), [(0.0, False), (6e-7, False), (NOISE, False), (NOISE * 1.01, True), (math.inf, True)]
)
def test_only_more_than_float_noise_differs(relative, expected):
    """6e-7 is what other kernels for a batch of one make (causes.md)."""
    assert differs(Distance(relative, relative, 1.0)) is expected


def test_an_unknown_distance_counts_as_a_difference_and_a_missing_one_does_not():
    assert differs(Distance(math.nan, math.nan, math.nan))
    assert not differs(None)
