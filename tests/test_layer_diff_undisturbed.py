"""``diff_layers`` leaves everything as it was, and a training after it is the training without it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from equivcheck import EquivcheckError, diff_layers

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 8, 8, 3)).astype(np.float32)
Y = RANDOM.integers(0, 3, 24)


def network(*, built=True, raises=False, seed=0):
    """All that can move: weights, statistics, seed states, and a metric and a count that a layer keeps itself."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)

    class Keeper(keras.layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.mean = keras.metrics.Mean()
            self.calls = tf.Variable(0.0, trainable=False)

        def call(self, x, training=None):
            self.mean.update_state(keras.ops.mean(x))
            self.calls.assign_add(1.0)
            if raises and training and not tf.is_symbolic_tensor(x):
                raise RuntimeError("in the middle")
            return x + keras.random.normal(keras.ops.shape(x)) if training else x

        def compute_output_shape(self, shape):
            return shape

    layers = [
        keras.layers.RandomFlip(name="flip"),
        keras.layers.Conv2D(4, 3, name="conv"),
        keras.layers.BatchNormalization(name="bn"),
        Keeper(name="keeper"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dropout(0.5, name="drop"),
        keras.layers.Dense(3, activation="softmax", name="out"),
    ]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers] if built else layers)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def state_of(model):
    """Every number that a model, its optimizer and its metrics hold."""
    keeper = model.get_layer("keeper")
    found = [*model.variables, *model.metrics_variables, *model.optimizer.variables, keeper.calls]
    return [np.array(variable) for variable in found]


def assert_same(before, after):
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def hooks_of(model):
    return [layer.name for layer in model._flatten_layers() if "call" in vars(layer)]


def others(model):
    """A second model with other weights."""
    other = network(seed=1)
    other.get_layer("conv").kernel.assign(model.get_layer("conv").kernel * 1.1)
    return other


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("trained", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("raises", [False, True])
def test_every_variable_is_as_it_was(mode, trained, raises):
    """Also after an exception in the middle; an optimizer that was not built is not."""
    model, other = network(raises=raises), network(seed=1)
    for each in (model, other) if trained else ():
        each.fit(X, Y, verbose=0, batch_size=8)
    before = [state_of(each) for each in (model, other)]
    built = model.optimizer.built
    if raises:
        with pytest.raises(EquivcheckError, match="keeper"):
            diff_layers(other, model, X, mode, batch_size=8)
    else:
        assert not diff_layers(model, other, X, mode, batch_size=8).equal
    for each, values in zip((model, other), before, strict=True):
        assert_same(values, state_of(each))
        assert not hooks_of(each)
    assert model.optimizer.built == built == trained


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_stateful_layer_goes_on_from_where_it_was(mode):
    """Keras does not list the states of a recurrent layer among the variables of its model."""
    import keras

    def stateful():
        keras.utils.set_random_seed(0)
        lstm = keras.layers.LSTM(3, stateful=True, name="lstm")
        return keras.Sequential([keras.Input(batch_shape=(4, 5, 3)), lstm])

    model, twin = stateful(), stateful()
    batches = [RANDOM.normal(size=(4, 5, 3)).astype(np.float32) for _ in range(2)]
    for each in (model, twin):
        each(batches[0])
    before = [np.array(state) for state in model.get_layer("lstm").states]
    for other in (twin, model):  # the second pass of one layer starts from where the first did
        assert diff_layers(model, other, batches, mode).bit_equal
        assert_same(before, [np.array(state) for state in model.get_layer("lstm").states])


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("existed", [False, True])
def test_generators_that_all_share_are_as_they_were(mode, existed):
    """Python's and NumPy's, and Keras' own, which only comes about when something without a seed draws."""
    import keras
    from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute
    from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

    model, other = network(), network(seed=1)
    set_global_attribute(GLOBAL_SEED_GENERATOR, None)
    if existed:
        keras.random.normal((1,))
    shared = get_global_attribute(GLOBAL_SEED_GENERATOR)
    state = np.array(shared.state) if shared else None
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    diff_layers(model, other, X, mode)
    assert get_global_attribute(GLOBAL_SEED_GENERATOR) is shared
    if existed:
        np.testing.assert_array_equal(np.array(shared.state), state)
    assert random.getstate() == python
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), numpy, strict=True))  # noqa: NPY002


def test_a_call_of_the_objects_own_stays():
    import keras

    layer = keras.layers.Dense(3, name="dense")
    model = keras.Sequential([keras.Input((4,)), layer])
    plain = layer.call

    def own(x, training=None):
        return plain(x, training=training) * 2

    layer.__dict__["call"] = own
    assert diff_layers(model, model, np.ones((2, 4))).bit_equal
    assert vars(layer)["call"] is own


def test_functions_are_traced_again_afterwards():
    """They run as plain Python in between, so that their layers are seen."""
    import tensorflow as tf

    model = network()
    diff_layers(model, model, X)
    assert not tf.config.functions_run_eagerly()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_compiled_functions_work_on(mode):
    """What Keras has traced before goes on with the live weights."""
    model, twin = network(), network()
    for each in (model, twin):
        keras_state(0)
        each.fit(X, Y, verbose=0, batch_size=8, shuffle=False)
        each.predict(X, verbose=0)
    functions = model.train_function, model.predict_function
    diff_layers(model, others(model), X, mode)
    keras_state(0)
    mine = model.fit(X, Y, verbose=0, batch_size=8, shuffle=False).history
    keras_state(0)
    theirs = twin.fit(X, Y, verbose=0, batch_size=8, shuffle=False).history
    assert mine == theirs
    np.testing.assert_array_equal(model.predict(X, verbose=0), twin.predict(X, verbose=0))
    assert (model.train_function, model.predict_function) == functions


def keras_state(seed):
    import keras

    keras.utils.set_random_seed(seed)


@pytest.mark.parametrize("mode", [pytest.param("inference", marks=pytest.mark.slow), "training"])
@pytest.mark.parametrize("built", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("feed", ["arrays", pytest.param("dataset", marks=pytest.mark.slow)])
def test_a_training_after_it_is_the_training_without_it(mode, built, feed):
    """Weights, statistics and history, bit for bit: dropout, noise, batch statistics and the order of the samples.

    Nothing is seeded in between, so that whatever had moved would show.
    """
    import tensorflow as tf

    found = []
    for measured in (True, False):
        other = network(seed=1)
        model = network(built=built)
        if measured:
            diff_layers(model, other, X, mode, batch_size=8)
        data = {"x": X, "y": Y, "batch_size": 8}
        if feed == "dataset":
            data = {"x": tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(24).batch(8), "shuffle": False}
        history = model.fit(**data, epochs=2, verbose=0).history
        found.append((history, state_of(model)))
    (mine, my_state), (theirs, their_state) = found
    assert mine == theirs
    assert_same(their_state, my_state)


def test_this_test_can_fail():
    """A training does move what was compared above."""
    model = network()
    before = state_of(model)
    diff_layers(model, model, X)
    model.fit(X, Y, verbose=0)
    after = state_of(model)[: len(before)]
    assert any(not np.array_equal(one, other) for one, other in zip(before, after, strict=False))


def test_nothing_of_it_stays_in_memory():
    """TensorFlow keeps every Python function that a graph calls; what such a function holds would stay for good."""
    import gc

    from equivcheck.trace.together import Together

    diff_layers(network(), network(), X)
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Together)]
