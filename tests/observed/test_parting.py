"""The first epoch in which two logs differ by more than they were rounded."""

from __future__ import annotations

import math

from equivcheck.measured import ObservedLog
from equivcheck.observed import partings


def log(epochs, **metrics):
    return ObservedLog("file", "console", epochs, metrics, {name: (5e-5,) * len(epochs) for name in metrics})


def test_they_part_where_rounding_no_longer_explains_it():
    left = log((1, 2, 3), val_accuracy=(0.5, 0.75, 1.0), loss=(1.0, 0.5, 0.25))
    right = log((1, 2, 3), val_accuracy=(0.5, 0.5, 0.25), loss=(1.00005, 0.5, 0.25))
    accuracy, loss = partings(left, right)
    assert (accuracy.metric, accuracy.epochs, accuracy.first_epoch) == ("val_accuracy", 3, 2)
    assert (accuracy.bottleneck, accuracy.frozen) == (0.75, 0.5)
    assert (accuracy.widest, accuracy.widest_epoch) == (-0.75, 3)
    assert (loss.metric, loss.first_epoch, loss.bottleneck) == ("loss", None, 0.25)


def test_only_common_epochs_are_compared():
    left, right = log((1, 2, 3), loss=(1.0, 0.5, 0.2)), log((2, 4), loss=(0.5, 0.1))
    (loss,) = partings(left, right)
    assert (loss.epochs, loss.first_epoch, loss.widest) == (1, None, 0.0)
    assert partings(log((1,), loss=(1.0,)), log((2,), loss=(1.0,))) == ()
    assert partings(log((1,), loss=(1.0,)), log((1,), accuracy=(1.0,))) == ()


def test_a_missing_value_is_no_difference_and_infinity_is_one():
    left, right = log((1, 2), loss=(math.nan, 0.5)), log((1, 2), loss=(1.0, math.inf))
    (loss,) = partings(left, right)
    assert (loss.epochs, loss.first_epoch, loss.widest) == (1, 2, math.inf)
