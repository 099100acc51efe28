"""Where a network is cut, and that a training from there on is that of ``fit`` on the whole of it."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(22, 8, 8, 3)).astype(np.float32)
CLASSES = RANDOM.integers(0, 3, 22)
WHOLE = "the whole network was run in every step, because it changes from its first layers on"
MOVING = "all up to base/pool was run by itself, epoch by epoch"


def backbone(kind):
    """A frozen network that ends in a vector."""
    import keras

    layers = keras.layers
    if kind == "plain":
        return [layers.Conv2D(4, 3, activation="relu", name="conv"), layers.GlobalAveragePooling2D(name="pool")]
    if kind == "dropout":
        return [*backbone("plain"), layers.Dropout(0.5, name="drop")]
    if kind == "early":
        return [layers.GaussianNoise(0.1, name="noise"), *backbone("plain")]
    if kind == "penalty":
        return [
            layers.Conv2D(4, 3, activity_regularizer="l2", name="conv"),
            layers.GlobalAveragePooling2D(name="pool"),
        ]
    raise AssertionError(kind)


def arm_of(model, **fit):
    from equivcheck.arms.arm import Arm, Feed, Split

    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return Arm(
        "frozen",
        model,
        Split(Feed(IMAGES, CLASSES)),
        Split(Feed(IMAGES[:9], CLASSES[:9])),
        {"epochs": 2, "batch_size": 5, **fit},
        0,
    )


def flat(kind):
    import keras

    keras.utils.set_random_seed(1)
    layers = backbone(kind)
    for layer in layers:
        layer.trainable = False
    return keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Dense(3, "softmax", name="head")])


def nested(kind):
    import keras

    keras.utils.set_random_seed(1)
    base = keras.Sequential([keras.Input((8, 8, 3)), *backbone(kind)], name="base")
    base.trainable = False
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.Dense(3, "softmax", name="head")(base(inputs, training=False)))


def subclassed(kind):
    import keras

    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.base = nested(kind).get_layer("base")
            self.head = keras.layers.Dense(3, "softmax", name="head")

        def call(self, x):
            # Plain operations before and behind the network, which no layer shows.
            return self.head(keras.ops.tanh(self.base(x * 2.0, training=False)) + 1.0)

    model = Mine()
    model(IMAGES[:2])
    return model


def around(kind):
    """A second way around the network: no tensor of it is all that matters."""
    import keras

    class Both(keras.Model):
        def __init__(self):
            super().__init__()
            self.base = nested(kind).get_layer("base")
            self.head = keras.layers.Dense(3, "softmax", name="head")

        def call(self, x):
            return self.head(self.base(x, training=False) + keras.ops.mean(x, (1, 2, 3), keepdims=False)[:, None])

    model = Both()
    model(IMAGES[:2])
    return model


def branches(_kind):
    """Two branches that meet only in a layer, and a second call of one layer."""
    import keras

    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    one = keras.layers.Conv2D(4, 3, name="one")(inputs)
    other = keras.layers.Conv2D(4, 3, name="other")(inputs)
    again = keras.layers.Activation("relu", name="relu")
    both = keras.layers.Concatenate(name="both")([again(one), again(other)])
    base = keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="pool")(both), name="base")
    base.trainable = False
    return keras.Model(inputs, keras.layers.Dense(3, "softmax", name="head")(base.output))


def frontier_of(model):
    import tensorflow as tf

    from equivcheck.replay.eligible import build
    from equivcheck.replay.frontier import TRIED, find_frontier, run_through

    build(arm_of(model))
    x = tf.constant(IMAGES[:TRIED])
    return find_frontier(model, x, *(run_through(model, x, training=training) for training in (True, False)))


@pytest.mark.parametrize(
    ("make", "kind", "path"),
    [
        (flat, "plain", "pool"),
        (flat, "dropout", "pool"),
        (nested, "plain", "base/pool"),
        (nested, "dropout", "base/pool"),
        (subclassed, "plain", "base/pool"),
        (branches, "", "pool"),
        (flat, "early", None),
        (flat, "penalty", None),
        (around, "plain", None),
    ],
)
def test_where_the_network_is_cut(make, kind, path, tensorflow):
    found = frontier_of(make(kind))
    assert (found and found.path) == path


@pytest.mark.parametrize(
    ("kind", "moved", "path"),
    [
        ("early", False, "pool"),  # noise is drawn in training only
        ("early", True, "noise"),  # what trains is evaluated anew
        ("penalty", False, None),  # a loss of its own shows in every evaluation
    ],
)
def test_where_evaluation_is_cut_that_training_cannot_be(kind, moved, path, tensorflow):
    import tensorflow as tf

    from equivcheck.replay.eligible import build
    from equivcheck.replay.frontier import TRIED, find_calm_frontier, run_through

    model = flat(kind)
    model.get_layer("conv").trainable = moved
    build(arm_of(model))
    x = tf.constant(IMAGES[:TRIED])
    fit, calm = (run_through(model, x, training=training) for training in (True, False))
    found = find_calm_frontier(model, x, fit, calm)
    assert (found and found.path) == path


def test_evaluation_is_run_once_where_what_training_draws_is_too_large_to_keep(monkeypatch, assert_as_fit):
    from equivcheck.replay import cut
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train

    monkeypatch.setattr(cut, "_keeps", lambda _found, _tables, training: not training)
    arm, kept = arm_of(flat("early")), Rehearsals()
    train(arm, lambda *_: None, rehearsals=kept)
    (found,) = kept.cuts.known.values()
    assert found.prefix is None
    assert len(list(found.calm.kept.finished())) == 1
    for make in (flat, nested):
        assert_as_fit(*(arm_of(make("early"), batch_size=5) for _ in range(2)), WHOLE)


def test_what_trains_is_never_stored(tensorflow):
    model = flat("plain")
    model.get_layer("conv").trainable = True
    assert frontier_of(model) is None


def test_looking_for_it_changes_nothing(tensorflow):
    from equivcheck.trace.state import variables_of

    model = nested("dropout")
    frontier_of(model)
    before = [np.array(variable.numpy()) for variable in variables_of(model)]
    frontier_of(model)
    for one, other in zip(before, variables_of(model), strict=True):
        np.testing.assert_array_equal(one, other.numpy())


@pytest.mark.parametrize(
    ("make", "kind", "size", "why"),
    [
        (flat, "dropout", 5, "all up to pool was run once"),
        (nested, "plain", 11, "all up to base/pool was run once"),
        (nested, "dropout", 1, "all up to base/pool was run once"),
        (subclassed, "plain", 7, "all up to base/pool was run once"),  # a last batch of one
        (branches, "", 5, "all up to pool was run once"),
        (around, "plain", 5, WHOLE),
        (flat, "early", 5, "all up to pool was run by itself, epoch by epoch"),
        (nested, "early", 1, "all up to base/pool was run by itself, epoch by epoch"),
    ],
)
def test_as_fit_on_the_whole_network(make, kind, size, why, tensorflow, assert_as_fit):
    assert_as_fit(*(arm_of(make(kind), batch_size=size) for _ in range(2)), why)


@pytest.mark.parametrize(
    ("version", "why"),
    [("2.2", "all up to base/pool was run once"), ("2.1", MOVING)],
)
def test_batch_statistics_are_run_by_themselves(version, why, assert_as_fit):
    """The frozen BatchNormalization of older Keras: a function of the batch, or of all batches before."""
    assert_as_fit(*(arm_of(of_older_keras(version)) for _ in range(2)), why)


def test_moving_statistics_end_with_the_training(assert_as_fit):
    """The network was run through all epochs before anybody knew that training stops early."""
    import keras

    def arm():
        stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=1, min_delta=10.0)
        return arm_of(of_older_keras("2.1"), epochs=6, callbacks=[stop])

    trained = assert_as_fit(arm(), arm(), MOVING)
    assert {len(curve.values) for curve in trained.curves} == {2}


def test_moving_statistics_without_validation_and_with_batches_of_one(assert_as_fit):
    from dataclasses import replace

    arms = [replace(arm_of(of_older_keras("2.1"), batch_size=1, shuffle=False), validation=None) for _ in range(2)]
    assert_as_fit(*arms, MOVING)


def test_moving_statistics_are_kept_with_a_training(tmp_path, tensorflow):
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import begin, train
    from equivcheck.trace.state import variables_of

    def told(*_):
        return None

    first, aside, *again = (arm_of(of_older_keras("2.1")) for _ in range(4))
    train(first, told, folder=tmp_path / "here")
    begin(aside, told, evidence=None, rehearsals=Rehearsals(), folder=tmp_path / "aside")()
    for folder, arm in zip(("here", "aside"), again, strict=True):
        train(arm, told, folder=tmp_path / folder)
        assert len(list((tmp_path / folder).rglob("*.npz"))) == 1
        for mine, theirs in zip(variables_of(arm.model), variables_of(first.model), strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_moving_statistics_too_large_to_keep(monkeypatch, assert_as_fit):
    from equivcheck.replay import cut

    monkeypatch.setattr(cut, "_keeps", lambda _found, tables, **_: tables.order.size <= 22)  # no more than one epoch
    assert_as_fit(*(arm_of(of_older_keras("2.1"), shuffle=False) for _ in range(2)), "all up to base/conv was run once")


def of_older_keras(version):
    """A frozen network with BatchNormalization as it was."""
    import keras

    from equivcheck.arms.legacy import LegacyBatchNormalization

    keras.utils.set_random_seed(1)
    conv, pool = backbone("plain")
    layers = [conv, LegacyBatchNormalization(updates_when_frozen=version == "2.1"), pool]
    base = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="base")
    base.trainable = False
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.Dense(3, "softmax", name="head")(base(inputs)))


def test_features_too_large_to_keep_are_not_kept(monkeypatch, assert_as_fit):
    from dataclasses import replace

    from equivcheck.replay import cut

    find = cut.find_frontier
    monkeypatch.setattr(cut, "_MOST_BYTES", 1)
    monkeypatch.setattr(cut, "find_frontier", lambda *found: replace(find(*found), path="x", shape=(10**9,)))
    why = "the whole network was run in every step, because the output of x is too large to keep"
    assert_as_fit(*(arm_of(flat("plain")) for _ in range(2)), why)


def test_draws_that_were_seen_but_come_from_no_variable_are_left_to_fit(tensorflow):
    """NumPy draws once, when the graph is traced, and another graph would draw something else."""
    from types import SimpleNamespace

    from equivcheck.replay.training import train

    layers = (SimpleNamespace(path="base/conv", stochastic=True),)
    training = train(arm_of(nested("plain")), lambda *_: None, evidence=SimpleNamespace(layers=layers))
    assert (training.how, training.why) == (
        "fit",
        "base/conv draws random numbers from a generator that cannot be seen",
    )


def test_both_arms_use_one_graph(tensorflow):
    """Behind the frontier a frozen arm is the bottleneck arm."""
    from dataclasses import replace

    import keras

    from equivcheck.arms.arm import Feed, Split
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train

    frozen = arm_of(nested("plain"))
    extractor = frozen.model.get_layer("base")
    head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    head.set_weights(frozen.model.get_layer("head").get_weights())
    head.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    features = extractor.predict(IMAGES, batch_size=5, verbose=0)
    bottleneck = replace(
        frozen,
        name="bottleneck",
        model=head,
        train=Split(Feed(features, CLASSES)),
        validation=Split(Feed(features[:9], CLASSES[:9])),
    )
    shared = Rehearsals()
    one, other = (train(arm, lambda *_: None, rehearsals=shared) for arm in (bottleneck, frozen))
    assert len(shared.known) == 1
    assert [curve.values for curve in one.curves] == [curve.values for curve in other.curves]
    assert {one.how, other.how} == {"compiled"}


def test_penalties_on_frozen_weights_make_another_graph(tensorflow):
    """Behind the frontier the two models are alike; what counts in their losses is not."""
    import keras

    from equivcheck.arms.legacy import model_class
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit

    def arm(version):
        keras.utils.set_random_seed(1)
        inputs = keras.Input((8, 8, 3))
        conv = keras.layers.Conv2D(4, 3, kernel_regularizer="l2", trainable=False, name="conv")
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(conv(inputs))
        outputs = keras.layers.Dense(3, "softmax", name="head")(pooled)
        return arm_of(model_class(version)(inputs, outputs, name="frozen"))

    shared = Rehearsals()
    curves = [train(arm(version), lambda *_: None, rehearsals=shared).curves for version in ("3", "2.2")]
    assert curves == [train_by_fit(arm(version), lambda *_: None).curves for version in ("3", "2.2")]
    assert curves[0] != curves[1]


def test_layers_of_older_keras_share_a_graph(tensorflow):
    import keras

    from equivcheck.arms.legacy import LegacyBatchNormalization
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit

    def arm():
        keras.utils.set_random_seed(1)
        conv, pool = backbone("plain")
        layers = [conv, LegacyBatchNormalization(updates_when_frozen=True, trainable=False), pool]
        return arm_of(keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Dense(3, "softmax")]))

    shared = Rehearsals()
    first, again = (train(arm(), lambda *_: None, rehearsals=shared).curves for _ in range(2))
    assert len(shared.known) == 1
    assert first == again == train_by_fit(arm(), lambda *_: None).curves


@pytest.mark.parametrize("kind", ["early", "dropout"])
def test_networks_that_are_nested_share_a_graph(kind, tensorflow):
    from dataclasses import replace

    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit

    shared = Rehearsals()
    for seed in (0, 1):
        ours, theirs = (replace(arm_of(nested(kind)), seed=seed) for _ in range(2))
        assert train(ours, lambda *_: None, rehearsals=shared).curves == train_by_fit(theirs, lambda *_: None).curves
        for mine, yours in zip(ours.model.weights, theirs.model.weights, strict=True):
            np.testing.assert_array_equal(mine.numpy(), yours.numpy())
    assert len(shared.known) == 1
