"""Distances of gradients, updates and slots."""

from __future__ import annotations

import math

import numpy as np
import pytest

from equivcheck.diff.step_gap import relative_gap, rounding_of, variable_gap

PATHS = ("head/dense/kernel", "dense/kernel")
REFERENCE = np.array([[1.0, -2.0], [0.0, 4.0]])


def test_equal_is_nothing_apart():
    gap = variable_gap(PATHS, REFERENCE, REFERENCE.copy())
    assert (gap.path_bottleneck, gap.path_frozen) == PATHS
    assert (gap.max_rel, gap.cosine, gap.norm_ratio) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_multiple_has_the_same_direction(factor):
    gap = variable_gap(PATHS, REFERENCE, factor * REFERENCE)
    assert gap.max_rel == pytest.approx(abs(factor - 1))
    assert gap.cosine == pytest.approx(1)
    assert gap.norm_ratio == pytest.approx(factor)


def test_the_scale_is_the_references_largest_unless_given():
    assert relative_gap(REFERENCE, REFERENCE + 1) == 1 / 4
    assert relative_gap(REFERENCE, REFERENCE + 1, scale=100.0) == 1 / 100


def test_a_zero_on_one_side():
    zero = np.zeros_like(REFERENCE)
    there, gone = variable_gap(PATHS, zero, REFERENCE), variable_gap(PATHS, REFERENCE, zero)
    assert (there.max_rel, there.cosine, there.norm_ratio) == (math.inf, 0.0, math.inf)
    assert (gone.max_rel, gone.cosine, gone.norm_ratio) == (1.0, 0.0, 0.0)
    assert variable_gap(PATHS, zero, zero).max_rel == 0


def test_what_only_one_arm_has():
    assert variable_gap(PATHS, None, None).max_rel == 0
    ours, theirs = variable_gap(PATHS, REFERENCE, None), variable_gap(PATHS, None, REFERENCE)
    assert (ours.max_rel, ours.norm_ratio) == (math.inf, 0.0)
    assert (theirs.max_rel, theirs.norm_ratio) == (math.inf, math.inf)
    assert variable_gap(PATHS, REFERENCE, REFERENCE[:1]).max_rel == math.inf
    assert relative_gap(REFERENCE, REFERENCE[:1]) == math.inf


def test_nan_in_both_is_equal_and_in_one_is_not():
    broken = REFERENCE.copy()
    broken[0, 0] = np.nan
    assert variable_gap(PATHS, broken, broken.copy()).max_rel == 0
    assert variable_gap(PATHS, REFERENCE, broken).max_rel == math.inf


def test_an_update_below_the_rounding_of_its_weight_is_none():
    """1 + 3e-8 is 1 in float32: what is stored cannot tell the two updates apart."""
    weight = np.array([1.0, 0.5], np.float32)
    updates = [np.asarray(weight + np.float32(size), np.float64) - weight for size in (1.0e-7, 1.5e-7)]
    assert relative_gap(*updates) > 0
    assert relative_gap(*updates, rounding=rounding_of(weight)) == 0
    assert rounding_of(weight) == 2.0**-23
    assert rounding_of(weight, 2 * weight) == 2.0**-22
