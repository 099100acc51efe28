"""The runs test: is an order of labels sorted by class?"""

from __future__ import annotations

import math

import numpy as np
import pytest

from equivcheck.diff.runs import count_runs, is_class_sorted, runs_score


@pytest.mark.parametrize(("labels", "runs"), [([], 0), ([1], 1), ([1, 1], 1), ([0, 1, 1, 0], 3), (list("aab"), 2)])
def test_runs_are_counted(labels, runs):
    values = np.array(labels)
    if values.dtype.kind == "U":
        values = np.unique(values, return_inverse=True)[1]
    assert count_runs(values) == runs


@pytest.mark.parametrize("counts", [(8, 8), (3, 3, 3), (20, 5), (1, 7), (5, 4, 3, 2)])
def test_expectation_and_variance_agree_with_random_permutations(counts):
    """20 000 random orders: their scores have mean 0 and variance 1, within five standard errors."""
    labels = np.repeat(np.arange(len(counts)), counts)
    drawn = np.random.default_rng(0).permuted(np.tile(labels, (20_000, 1)), axis=1)
    runs = 1 + np.count_nonzero(np.diff(drawn, axis=1), axis=1)
    # The score is (runs - expected) / deviation: two orders with known runs give both numbers back.
    few, many = drawn[runs.argmin()], drawn[runs.argmax()]
    deviation = (runs.max() - runs.min()) / (runs_score(many) - runs_score(few))
    expected = runs.min() - runs_score(few) * deviation
    assert runs.mean() == pytest.approx(expected, abs=5 * runs.std() / math.sqrt(len(runs)))
    assert runs.var() == pytest.approx(deviation**2, rel=0.08)


@pytest.mark.parametrize("counts", [(8, 8), (10, 10, 10), (100, 50), (12, 12, 12, 12, 12)])
def test_class_after_class_is_sorted(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    assert is_class_sorted(labels)
    assert is_class_sorted(labels[::-1])


def test_random_orders_are_rarely_taken_for_sorted():
    """At p < 0.001 one-sided; 10 of 2000 would already be five times too many."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    assert sum(is_class_sorted(generator.permutation(labels)) for _ in range(2000)) < 10


@pytest.mark.parametrize("classes", [2, 5])
def test_alternating_classes_have_too_many_runs_and_are_not_sorted(classes):
    labels = np.tile(np.arange(classes), 20)
    assert runs_score(labels) > 0
    assert not is_class_sorted(labels)


@pytest.mark.parametrize("labels", [[], [0], [0, 0, 0], [0, 1], [1, 0, 0]])
def test_too_few_labels_prove_nothing(labels):
    assert math.isfinite(runs_score(np.array(labels)))
    assert not is_class_sorted(np.array(labels))


def test_every_sample_of_its_own_class():
    """Only one number of runs is possible: the variance is 0."""
    assert runs_score(np.arange(50)) == 0.0
