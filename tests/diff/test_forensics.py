"""What printed accuracies give away."""

from __future__ import annotations

import math
import random

import pytest

from equivcheck.diff.forensics import Window, can_be_of, period_of, sliding_window, smallest_count, window_scores

FOUR_DIGITS = 5e-5


def rounded(values):
    return [round(value, 4) for value in values]


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ([0.6667, 0.5, 0.3333], 6),
        ([0.75, 1.0], 4),
        ([1.0], 1),
        ([0.0], 1),
        ([0.4375, 0.8125], 16),
        ([0.7083, 0.75, 0.6667], 24),
        ([], None),
    ],
)
def test_smallest_count(values, count):
    assert smallest_count(values, [FOUR_DIGITS] * len(values)) == count


def test_how_far_digits_tell():
    assert smallest_count([0.01, 0.02, 0.03, 0.87, 0.13], [0.005] * 5) in {None, *range(1, 101)}
    assert smallest_count([0.5004, 0.502], [1e-9, 1e-9]) == 2500
    assert smallest_count([0.50001], [1e-9]) is None


@pytest.mark.parametrize("count", [7, 8, 60, 120, 340, 1424])
def test_true_counts_are_never_called_impossible(count):
    """A false alarm would be as bad as a miss: every fraction of a set is possible, as Keras prints it."""
    values = rounded(hits / count for hits in range(count + 1))
    assert can_be_of(count, values, [FOUR_DIGITS] * len(values))
    assert (smallest_count(values, [FOUR_DIGITS] * len(values)) or 0) <= count


def test_a_third_cannot_come_from_eight():
    assert not can_be_of(8, [0.3333], [FOUR_DIGITS])
    assert can_be_of(12, [0.3333], [FOUR_DIGITS])


def test_a_repetition_is_found_with_its_start():
    period = period_of([0.1, 0.2, *[0.6667, 0.5, 0.3333, 0.5] * 5, 0.6667])
    assert (period.length, period.start, period.values) == (4, 2, (0.6667, 0.5, 0.3333, 0.5))
    assert period.repeats == 5.25
    assert period.chance < 1e-3


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.5] * 50,  # stands still
        [0.2, 0.4, 0.8, 0.9, *[1.0] * 40],  # learned
        [0.6667, 0.5, 0.3333, 0.5] * 2,  # two turns may be luck
        [0.5, 0.75] * 3,  # six epochs of a small set
        [*[0.5, 0.75] * 10, 0.8],  # not to the end
        [1.0, 1.0, 1.0, 0.9] * 3,
        [math.nan] * 20,
    ],
)
def test_what_is_no_repetition(values):
    assert period_of(values) is None


def test_learning_curves_of_small_sets_do_not_repeat():
    """2,000 made-up curves that settle and then jump about among neighbouring fractions of eight."""
    generator = random.Random(0)  # noqa: S311  (no secret)
    found = 0
    for _ in range(2000):
        level = generator.choice([4, 5, 6, 7])
        curve = [min(8, level + generator.choice([-1, 0, 0, 1])) / 8 for _ in range(generator.choice([10, 30, 50]))]
        found += period_of(curve) is not None
    assert found <= 2


def test_the_window_that_makes_the_curve():
    """Twelve of 4 + 4 images, and the ten that Keras 1 read ahead."""
    cycle, errors = (0.6667, 0.5, 0.3333, 0.5), (FOUR_DIGITS,) * 4
    expected = Window(samples=8, first_class=4, window=12, read_ahead=10)
    assert sliding_window(cycle, errors, 6, 8) == expected
    assert sliding_window(cycle, errors, 6) == expected
    assert rounded(window_scores(expected, 4)) == list(cycle)
    assert sliding_window(cycle, errors, 6, 7) is None


def test_a_window_without_reading_ahead():
    """Six of 4 + 4: the evaluations begin at 0, 6, 4 and 2; the constant answer may be the second class."""
    window = Window(samples=8, first_class=4, window=6, read_ahead=0)
    scores = window_scores(window, 4)
    assert rounded(scores) == [0.6667, 0.6667, 0.3333, 0.3333]
    for cycle in (scores, [1 - score for score in scores]):
        assert sliding_window(cycle, [FOUR_DIGITS] * 4, 6, 8) == window
    assert sliding_window(scores[1:] + scores[:1], [FOUR_DIGITS] * 4, 6, 8, before=1) == window
