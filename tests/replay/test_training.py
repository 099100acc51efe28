"""Training one arm by ``fit`` itself: its curves, its weights, and the seed that it starts from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def builder(tiny):
    from equivcheck.arms.build import Builder

    return Builder(resolve(tiny.patched({"backbone.cut": "dropout"})))


def train(arm):
    from equivcheck.replay.training import train

    epochs = []
    return train(arm, lambda *done: epochs.append(done)), epochs


def test_every_epoch_is_a_point_and_is_told(builder):
    training, epochs = train(builder.build("frozen"))
    assert {curve.metric for curve in training.curves} == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert all(curve.arm == "frozen" and len(curve.values) == 2 for curve in training.curves)
    assert epochs == [(1, 2), (2, 2)]


def test_a_new_arm_trains_the_same_whatever_ran_before(builder):
    """Training starts from the arm's own seed, so dropout draws and the order of samples repeat."""
    first, _ = train(builder.build("frozen"))
    np.random.default_rng().random()
    second, _ = train(builder.build("frozen"))
    assert first.curves == second.curves
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("metric", ["accuracy", "acc", "sparse_categorical_accuracy"])
def test_an_accuracy_is_called_accuracy_however_keras_resolved_it(builder, metric):
    """Users compile metrics under several names; two arms' curves must meet. Without validation there is no curve."""
    arm = replace(builder.build("bottleneck"), validation=None)
    arm.model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=[metric])
    assert {curve.metric for curve in train(arm)[0].curves} == {"loss", "accuracy"}


def test_the_users_callbacks_run(builder, tensorflow):
    """Early stopping, say: the curve is then as long as it is in the user's own training."""
    import keras

    arm = builder.build("bottleneck")
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: setattr(arm.model, "stop_training", True))
    training, epochs = train(replace(arm, fit={**arm.fit, "epochs": 5, "callbacks": [stop]}))
    assert {len(curve.values) for curve in training.curves} == {1}
    assert epochs == [(1, 5)]


def test_a_callback_that_raises_is_the_users(builder, tensorflow):
    import keras

    from equivcheck.errors import UserCodeError

    def stop(_epoch, _logs):
        raise OSError("no disk")

    arm = builder.build("bottleneck")
    callbacks = [keras.callbacks.LambdaCallback(on_epoch_end=stop)]
    arm = replace(arm, fit={**arm.fit, "callbacks": callbacks}, made_by="theirs:arm")
    with pytest.raises(UserCodeError) as raised:
        train(arm)
    place = f"{__file__}:{stop.__code__.co_firstlineno + 1}"
    assert str(raised.value) == f"theirs:arm: fit of the bottleneck arm raised OSError: no disk ({place})"


def test_sample_weights_reach_the_loss(builder):
    arm = builder.build("bottleneck")
    nothing = np.zeros(len(arm.train.feed.x), np.float32)
    feed = replace(arm.train.feed, sample_weight=nothing)
    training, _ = train(replace(arm, train=replace(arm.train, feed=feed)))
    assert next(curve.values for curve in training.curves if curve.metric == "loss") == (0.0, 0.0)
