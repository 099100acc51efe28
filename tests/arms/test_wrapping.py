"""Keras 1's generators, against the log of a training that used them."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


def epochs(count, n, size, samples, **options):
    """The rows of each epoch, epoch by epoch, as Keras announces them."""
    from equivcheck.arms.wrapping import WrappingBatches

    batches = WrappingBatches(np.arange(n), np.arange(n), batch_size=size, samples=samples, **options)
    found = []
    for _ in range(count):
        batches.on_epoch_end()  # Keras resets before it begins
        batches.on_epoch_begin()
        found.append([list(map(int, batches[index][0])) for index in range(len(batches))])
        batches.on_epoch_end()
    return found


def test_a_log_of_keras_1_is_explained_by_its_window():
    """Twelve of 4 + 4 images, batches of one, ten lost: what a constant answer scores is that log's val_acc."""
    scores = []
    for window in epochs(8, 8, 1, 12, lost=10):
        rows = np.concatenate(window)
        assert len(rows) == 12
        scores.append(round(float((rows < 4).mean()), 4))
    assert scores == [0.6667, 0.5, 0.3333, 0.5] * 2


def test_training_goes_on_where_the_last_epoch_ended():
    assert epochs(3, 8, 2, 6) == [[[0, 1], [2, 3], [4, 5]], [[6, 7], [0, 1], [2, 3]], [[4, 5], [6, 7], [0, 1]]]


def test_the_last_batch_of_a_pass_is_smaller():
    assert epochs(1, 5, 2, 7) == [[[0, 1], [2, 3], [4], [0, 1]]]


def test_an_order_is_drawn_anew_only_behind_a_smaller_batch():
    divided = epochs(2, 6, 2, 6, seed=0)
    assert divided[0] == divided[1]
    first, second = epochs(2, 5, 2, 5, seed=0)
    assert first != second
    assert sorted(np.concatenate(first)) == sorted(np.concatenate(second)) == list(range(5))
