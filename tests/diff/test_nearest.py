"""Which stored row is nearest."""

from __future__ import annotations

import numpy as np

from equivcheck.diff.nearest import nearest_rows, rows_alike, same_features

STORED = np.random.default_rng(0).normal(size=(10, 2, 3)).astype(np.float32)
ROWS = np.array([0, 4, 9])


def test_each_is_its_own_neighbour():
    found = nearest_rows(STORED[ROWS], ROWS, STORED)
    np.testing.assert_array_equal(found.nearest, ROWS)
    assert found.own.max() == 0


def test_a_shift_is_seen():
    found = nearest_rows(STORED[ROWS], ROWS, np.roll(STORED, 1, axis=0))
    np.testing.assert_array_equal(found.nearest, (ROWS + 1) % 10)
    assert found.nearest_distance.max() == 0
    assert not same_features(found.own).any()


def test_half_precision_is_the_same():
    found = nearest_rows(STORED[ROWS], ROWS, STORED.astype(np.float16))
    assert found.own.max() > 0
    assert same_features(found.own).all()


def test_flattened_rows_are_compared_and_rows_of_another_size_are_not():
    assert nearest_rows(STORED[ROWS], ROWS, STORED.reshape(10, 6)).own.max() == 0
    assert nearest_rows(STORED[ROWS], ROWS, STORED[:, :1]) is None
    assert nearest_rows(np.zeros((3, 2, 3)), ROWS, STORED) is None


def test_all_rows_that_hold_the_same_are_found():
    twice = np.concatenate([STORED, STORED[4:5]])
    assert [found.tolist() for found in rows_alike(STORED[ROWS], twice)] == [[0], [4, 10], [9]]


def test_what_cannot_be_compared_is_like_nothing():
    assert [found.tolist() for found in rows_alike(STORED[ROWS] + 1, STORED)] == [[], [], []]
    assert [found.tolist() for found in rows_alike(STORED[ROWS], STORED[:, :1])] == [[], [], []]
    assert [found.tolist() for found in rows_alike(np.zeros((1, 2, 3)), STORED)] == [[]]
