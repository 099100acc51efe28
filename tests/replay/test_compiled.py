"""A compiled training is that of ``fit``: every point of every curve, and every variable, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

RANDOM = np.random.default_rng(0)
X, X_VALIDATION = (RANDOM.normal(size=(rows, 16)).astype(np.float32) for rows in (20, 17))
CLASSES, CLASSES_VALIDATION = (RANDOM.integers(0, 3, rows) for rows in (20, 17))

LOSSES = {
    "sparse_categorical_crossentropy": lambda classes: classes,
    "categorical_crossentropy": lambda classes: np.eye(3, dtype=np.float32)[classes],
    "mean_squared_error": lambda classes: np.eye(3)[classes],  # float64, which Keras casts
    "binary_crossentropy": lambda classes: np.eye(3, dtype=np.int64)[classes],
}


def optimizer(name):
    import keras

    schedule = keras.optimizers.schedules.ExponentialDecay
    return {
        "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
        "adam": lambda: keras.optimizers.Adam(0.01),
        "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
        "averaged": lambda: keras.optimizers.AdamW(schedule(0.01, 3, 0.5), use_ema=True, clipnorm=0.1),
        "diverging": lambda: keras.optimizers.SGD(1e30),
    }[name]()


def make(*, optimizer_name="rmsprop", loss="sparse_categorical_crossentropy", deep=True, weights=None, **fit):
    """A head on stored features, afresh."""
    import keras

    from equivcheck.arms.arm import Arm, Feed, Split

    keras.utils.set_random_seed(3)
    hidden = [
        keras.layers.Dropout(0.3),
        keras.layers.Dense(8, "relu", kernel_regularizer="l2"),
        keras.layers.Dropout(0.5),
    ]
    last = keras.layers.Dense(3, activation="sigmoid" if loss == "binary_crossentropy" else "softmax")
    model = keras.Sequential([keras.Input((16,)), *(hidden if deep else []), last])
    model.compile(optimizer=optimizer(optimizer_name), loss=loss, metrics=["accuracy"])
    labels, labels_validation = map(LOSSES[loss], (CLASSES, CLASSES_VALIDATION))
    return Arm(
        "bottleneck",
        model,
        Split(Feed(X, labels, weights)),
        Split(Feed(X_VALIDATION, labels_validation)),
        {"epochs": 3, "batch_size": 6, **fit},
        7,
    )


QUICK = [
    {},  # shuffled, 20 = 3 x 6 + 2
    {"batch_size": 5, "optimizer_name": "adam", "loss": "categorical_crossentropy"},
    {"batch_size": 1, "deep": False, "shuffle": False, "optimizer_name": "momentum", "loss": "mean_squared_error"},
    {"shuffle": "batch", "class_weight": {0: 1.0, 1: 2.0, 2: 0.5}, "validation_batch_size": 17},
    {"weights": RANDOM.random(20), "optimizer_name": "averaged", "batch_size": 20},
    {"optimizer_name": "diverging", "batch_size": None},
]
MATRIX = [
    {"loss": loss, "optimizer_name": name, "batch_size": size, "shuffle": shuffle, "deep": deep}
    for loss, name, size, shuffle, deep in product(
        LOSSES, ("rmsprop", "adam", "momentum"), (1, 5, 8), (True, False), (True, False)
    )
][::5]  # five shares no factor with it, so every pair of values occurs


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_as_fit(case, assert_as_fit):
    assert_as_fit(make(**case), make(**case))


@pytest.mark.slow
@pytest.mark.parametrize("case", MATRIX, ids=str)
def test_as_fit_in_many_more_ways(case, assert_as_fit):
    assert_as_fit(make(**case), make(**case))


def test_a_training_that_diverges_shows_it():
    from equivcheck.replay.training import train

    curves = train(make(optimizer_name="diverging"), lambda *_: None).curves
    assert not all(np.isfinite(value) for curve in curves for value in curve.values)


def test_a_head_that_cannot_be_trained(recwarn, assert_as_fit):
    """Keras warns, and the weights stay."""
    arms = [make(), make()]
    for arm in arms:
        arm.model.trainable = False
        arm.model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    assert_as_fit(*arms)


def test_without_validation(assert_as_fit):
    assert_as_fit(*(replace(make(), validation=None) for _ in range(2)))


def test_steps_of_the_users_own(tensorflow, assert_as_fit):
    """They run as they are; only what is around them is not Keras' own."""
    import keras

    class Doubled(keras.Sequential):
        def train_step(self, data):
            super().train_step(data)
            return super().train_step(data)

    def arm():
        made = make()
        model = Doubled([keras.Input((16,)), *made.model.layers])
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return replace(made, model=model)

    assert_as_fit(arm(), arm())


def test_the_same_rows_as_fit_pulls(tensorflow):
    """Beside the order of ``fit`` itself, which writes down what it is fed."""
    from equivcheck.replay.order import epoch_orders
    from equivcheck.trace.order import number_samples, record

    for shuffle, size in product((True, False, "batch"), (1, 5, 6, 32)):
        arm = make(shuffle=shuffle, batch_size=size)
        passes = record(arm).train
        pulled = number_samples(arm.train.feed.x, passes)
        orders = epoch_orders(20, batch_size=size, shuffle=shuffle, epochs=2, seed=arm.seed)
        for epoch, rows in enumerate(pulled):
            np.testing.assert_array_equal(orders[epoch % len(orders)], rows)


def test_epochs_that_differ_are_taken_in_turn(tensorflow):
    """Two passes of different order: what one epoch of each gives, one after the other."""
    from equivcheck.replay.compiled import Rehearsal, own_step
    from equivcheck.replay.eligible import build
    from equivcheck.replay.tables import tables_of

    orders = np.stack([np.arange(20), np.arange(20)[::-1]])
    arm, by_hand = make(), make()
    for one in (arm, by_hand):
        build(one)
    tables = replace(tables_of(arm), order=orders)
    Rehearsal(arm.model, tables, own_step(arm.model)).run(tables, 2, lambda *_: None)
    for order in orders:
        by_hand.model.fit(X[order], CLASSES[order], batch_size=6, shuffle=False, verbose=0)
    for mine, yours in zip(arm.model.weights, by_hand.model.weights, strict=True):
        np.testing.assert_array_equal(mine.numpy(), yours.numpy())


@pytest.mark.parametrize(
    ("stopping", "ends"),
    [
        ({"monitor": "val_loss", "patience": 1}, True),
        ({"monitor": "val_loss", "patience": 50}, False),
        ({"monitor": "accuracy", "patience": 2, "min_delta": 0.1}, True),
        ({"monitor": "loss", "baseline": 0.01, "patience": 3, "start_from_epoch": 2}, True),
    ],
)
def test_as_fit_where_early_stopping_ends_it(assert_as_fit, stopping, ends):
    import keras

    def arm():
        return make(epochs=12, callbacks=[keras.callbacks.EarlyStopping(**stopping)])

    compiled = arm()
    (stop,) = compiled.fit["callbacks"]
    before = dict(vars(stop))
    done = assert_as_fit(arm(), compiled)
    assert vars(stop) == before, "whoever measures the arm later measures this one"
    assert (len(done.curves[0].values) < 12) == ends
    if "min_delta" in stopping:  # a callback serves several trainings
        assert_as_fit(arm(), replace(arm(), fit=compiled.fit))


def test_what_decides_when_it_stops_is_in_the_key():
    import keras

    from equivcheck.replay.eligible import build
    from equivcheck.replay.key import key_of

    def key(**stopping):
        arm = make(callbacks=[keras.callbacks.EarlyStopping(**stopping)])
        build(arm)
        return key_of(arm)

    assert key(patience=1) == key(patience=1)
    assert len({key(patience=1), key(patience=2), key(patience=1, min_delta=0.1), key(patience=1, monitor="loss")}) == 4


def test_progress_is_told_and_ends_at_the_end():
    from equivcheck.replay.training import train

    told = []
    train(make(epochs=9), lambda *done: told.append(done))
    assert told[0] == (1, 9)
    assert told[-1] == (9, 9)
    assert told == sorted(told)


def test_a_user_who_stops_it_finds_the_model_as_it_was():
    from equivcheck.replay.training import train

    def stop(done, _total):
        raise KeyboardInterrupt

    arm = make()
    before = arm.model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        train(arm, stop)
    for one, other in zip(before, arm.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("fit", "why"),
    [
        ({"steps_per_epoch": 2}, "fit is given steps_per_epoch"),
        ({"validation_freq": 2}, "fit is given validation_freq"),
        ({"initial_epoch": 1}, "fit is given initial_epoch"),
        ({"callbacks": [object()]}, "fit is given callbacks"),
        ({"callbacks": object()}, "fit is given callbacks"),
    ],
)
def test_what_is_left_to_fit(fit, why):
    from equivcheck.replay.eligible import obstacle

    assert obstacle(make(**fit)) == why


def test_models_that_are_left_to_fit(tensorflow):
    import keras

    from equivcheck.replay.eligible import obstacle

    def reason(**compiled):
        arm = make()
        arm.model.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", **compiled})
        return obstacle(arm)

    class Own(keras.Sequential):
        def fit(self, *args, **kwargs):
            return super().fit(*args, **kwargs)

    assert reason() is None
    assert reason(run_eagerly=True) == "it is trained eagerly"
    arm = make()
    arm.model._jit_compile = True  # which Keras itself refuses while operations are deterministic
    assert obstacle(arm) == "it is compiled with jit_compile"
    assert reason(steps_per_execution=2) == "it is compiled with steps_per_execution"
    own = Own([keras.layers.Dense(3)])
    own.compile("sgd", "mse")
    assert obstacle(replace(make(), model=own)) == "the model has a fit of its own"
    late = keras.Sequential([keras.layers.Dense(3)])
    late.compile("sgd", "mse")
    assert obstacle(replace(make(), model=late)) == "it is built by fit"


@pytest.mark.parametrize("kind", ["tensorflow's own", "python's"])
def test_draws_that_nobody_can_repeat_are_left_to_fit(kind, tensorflow):
    """A generator that is no variable: the graph could not start where that of ``fit`` does."""
    import keras

    from equivcheck.replay.training import train

    class Noise(keras.layers.Layer):
        def call(self, x):
            if kind == "python's":
                drawn = tensorflow.numpy_function(lambda: np.float32(0.5), (), tensorflow.float32)
                return x + tensorflow.ensure_shape(drawn, ())
            return x + tensorflow.random.normal((16,))

    arm = make()
    model = keras.Sequential([keras.Input((16,)), Noise(), keras.layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    training = train(replace(arm, model=model), lambda *_: None)
    assert training.how == "fit"
    assert "whose state cannot be seen" in training.why


def test_a_variable_that_the_model_does_not_list_is_left_to_fit(tensorflow):
    """Nobody would put it back."""
    import keras

    from equivcheck.replay.training import train

    hidden = tensorflow.Variable(0.0)

    class Counting(keras.layers.Layer):
        def call(self, x):
            hidden.assign_add(1.0)
            return x

    model = keras.Sequential([keras.Input((16,)), Counting(), keras.layers.Dense(3)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    training = train(replace(make(), model=model), lambda *_: None)
    assert (training.how, training.why) == ("fit", "it works on a variable that the model does not list")


def test_labels_that_the_loss_refuses_raise_what_fit_raises(tensorflow):
    from equivcheck.replay.training import train

    arm = make()
    feed = replace(arm.train.feed, y=CLASSES + 5)
    with pytest.raises(tensorflow.errors.InvalidArgumentError, match=r"is not in \[0, 3\)"):
        train(replace(arm, train=replace(arm.train, feed=feed)), lambda *_: None)


def test_a_further_arm_uses_the_same_graph_and_leaves_the_first_alone():
    """Another learning rate, other weights, other data: only what makes another graph makes another one."""
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit

    shared = Rehearsals()
    first = make()
    train(first, lambda *_: None, rehearsals=shared)
    trained = first.model.get_weights()
    second, by_fit = (make(shuffle=False, epochs=5) for _ in range(2))
    for arm in (second, by_fit):
        arm.model.optimizer.learning_rate = 0.5
        arm.model.set_weights([weight * 2 if weight.dtype == np.float32 else weight for weight in trained])
    expected = train_by_fit(by_fit, lambda *_: None)
    assert repr(train(second, lambda *_: None, rehearsals=shared).curves) == repr(expected.curves)
    assert len(shared.known) == 1
    for one, other in zip(trained, first.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    for other in ({"deep": False}, {"optimizer_name": "adam"}, {"loss": "categorical_crossentropy"}, {"batch_size": 5}):
        known = len(shared.known)
        train(make(**other), lambda *_: None, rehearsals=shared)
        assert len(shared.known) == known + 1


def test_an_optimizer_put_in_the_place_of_another_has_a_graph_of_its_own():
    """Its slots are the same, and what the model was compiled with does not tell."""
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit

    shared = Rehearsals()
    train(make(), lambda *_: None, rehearsals=shared)
    clipped, by_fit = (make() for _ in range(2))
    for arm in (clipped, by_fit):
        kind, config = type(arm.model.optimizer), arm.model.optimizer.get_config()
        arm.model.optimizer = kind.from_config({**config, "clipnorm": 1e-3})
    expected = train_by_fit(by_fit, lambda *_: None)
    assert repr(train(clipped, lambda *_: None, rehearsals=shared).curves) == repr(expected.curves)
    assert len(shared.known) == 2


def test_joined_validation_differs_by_its_rounding_alone():
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train

    exact = train(make(batch_size=1), lambda *_: None)
    joined = train(make(batch_size=1), lambda *_: None, rehearsals=Rehearsals(joined=True))
    for one, other in zip(exact.weights, joined.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(exact.curves, joined.curves, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0 if one.metric == "val_accuracy" else 1e-6)


def test_losses_that_do_not_add_up_are_never_joined():
    """A sum over each batch is weighted by its size: one large batch would tell something else."""
    import keras

    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train

    def arm():
        made = make(batch_size=1, validation_batch_size=4)
        made.model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(reduction="sum"))
        return made

    joined = train(arm(), lambda *_: None, rehearsals=Rehearsals(joined=True))
    assert repr(joined.curves) == repr(train(arm(), lambda *_: None).curves)
