"""Trainings on Keras 1's generators, compiled: the samples of each epoch and each evaluation are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: 20 training and 20 validation images.
CASES = {
    "both wrap around": {"samples_per_epoch": 28, "validation_samples": 12, "batch_size": 4},
    "one image a batch": {"samples_per_epoch": 24, "validation_samples": 12, "batch_size": 1, "shuffle": False},
    "no whole number of batches": {"samples_per_epoch": 30, "validation_samples": 7, "batch_size": 4},
    "larger batches than there are images": {"samples_per_epoch": 30, "validation_samples": 30, "batch_size": 24},
    "only training": {"samples_per_epoch": 28, "batch_size": 4},
    "only validation": {"validation_samples": 12, "batch_size": 4},
    "weighted": {"samples_per_epoch": 28, "batch_size": 4, "class_weight": {"0": 1.0, "1": 2.0, "2": 0.5}},
}


def make(tiny, **training):
    """Two equal arms; a fit takes the data of the one that is trained by it."""
    from equivcheck.arms.build import Builder

    own = {"frozen.keras_semantics": "1.2", "frozen.training.epochs": 5}
    own |= {f"frozen.training.{name}": value for name, value in training.pop("training").items()}
    builder = Builder(resolve(tiny.patched({**own, **training})))
    return builder.build("frozen"), builder.build("frozen")


@pytest.mark.parametrize("name", CASES)
def test_as_fit_behind_what_is_the_same_in_every_epoch(tiny, assert_as_fit, name):
    head = ["flatten", {"dropout": {"rate": 0.5}}, {"dense": {"units": 3, "activation": "softmax"}}]
    arms = make(tiny, training=CASES[name], **{"backbone.cut": "conv", "head": head})
    assert_as_fit(*arms, why="all up to head_flatten was run once")


@pytest.mark.parametrize("name", CASES)
def test_as_fit_where_frozen_statistics_follow_the_batches(tiny, assert_as_fit, name):
    assert_as_fit(*make(tiny, training=CASES[name], **{"backbone.cut": "dropout"}))


def test_each_training_begins_anew(tiny):
    from equivcheck.replay.training import train, train_by_fit

    one, other = make(tiny, training=CASES["both wrap around"])
    one.model.fit(one.train.feed.x, epochs=1, verbose=0)
    one.model.set_weights(other.model.get_weights())
    one.model.optimizer.build(one.model.trainable_variables)
    assert train(one, lambda *_: None).how == "compiled"
    told = train_by_fit(other, lambda *_: None)
    again = train_by_fit(other, lambda *_: None)
    assert len(told.curves) == len(again.curves)


def test_batches_of_several_sizes_are_left_to_fit(tiny):
    from equivcheck.replay.training import train

    one, _ = make(tiny, training={"validation_samples": 12, "batch_size": 6})
    done = train(one, lambda *_: None)
    assert (done.how, done.why) == ("fit", "its batches are not all of one size")


def test_epochs_are_kept_as_far_as_they_are_new(tiny):
    from equivcheck.replay.tables import tables_of

    counts = {"samples_per_epoch": 30, "validation_samples": 20, "batch_size": 1, "shuffle": False}
    one, _ = make(tiny, training=counts | {"epochs": 9})
    tables = tables_of(one)
    assert tables.order.shape == (2, 30)  # 20 + 10, and 10 + 20
    np.testing.assert_array_equal(tables.order[1][:10], tables.order[0][:10] + 10)
    assert tables.validation_order.shape == (2, 20)  # ten batches are lost
