"""Frozen BatchNormalization as the three generations of Keras ran it, and copies that share nothing."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.errors import InputError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

X = np.random.default_rng(0).normal(3, 2, (6, 4, 4, 3)).astype(np.float32)
#: Version -> (normalises with the batch when frozen, moves the statistics when frozen).
GENERATIONS = {
    "1": (True, True),
    "2.0": (True, True),
    "2.1": (True, True),
    "2.1.2": (True, True),
    "2.1.3": (True, False),
    "2.2": (True, False),
    "2.3.1": (True, False),
    "2.4": (False, False),
    "3": (False, False),
    None: (False, False),
}


@pytest.fixture
def network():
    """A convolution and a BatchNormalization whose statistics are not those of the batch."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 3))
    outputs = keras.layers.Conv2D(5, 1, name="conv")(inputs)
    outputs = keras.layers.BatchNormalization(momentum=0.9, epsilon=0.01, name="bn")(outputs)
    model = keras.Model(inputs, outputs, name="base")
    randomise(model)
    return model


def randomise(model):
    generator = np.random.default_rng(1)
    model.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in model.get_weights()])


def by_hand(model, x):
    """Output and statistics of batch normalisation with the batch's own statistics."""
    gamma, beta, mean, variance = (np.array(weight) for weight in model.get_layer("bn").weights)
    inner = np.array(model.get_layer("conv")(x))
    batch_mean, batch_variance = inner.mean(axis=(0, 1, 2)), inner.var(axis=(0, 1, 2))
    normalised = gamma * (inner - batch_mean) / np.sqrt(batch_variance + 0.01) + beta
    return normalised, mean * 0.9 + batch_mean * 0.1, variance * 0.9 + batch_variance * 0.1


@pytest.mark.parametrize("version", GENERATIONS)
def test_frozen_in_fit(network, version):
    from equivcheck.arms.legacy import own_copy

    uses_batch, moves = GENERATIONS[version]
    copy = own_copy(network, version)
    copy.trainable = False
    calm, before = np.array(copy(X, training=False)), copy.get_weights()
    expected, mean, variance = by_hand(copy, X)
    fitted = np.array(copy(X, training=True))
    np.testing.assert_allclose(fitted, expected if uses_batch else calm, rtol=1e-4, atol=1e-5)
    assert not np.allclose(calm, expected, atol=0.1)
    after = copy.get_layer("bn").get_weights()
    np.testing.assert_allclose(after[2:], [mean, variance] if moves else before[-2:], rtol=1e-5)


@pytest.mark.parametrize("version", ["2.1.3", "2.2", "2.3.1"])
@pytest.mark.parametrize("fused", [True, False])
def test_frozen_in_fit_as_in_tf_keras(network, version, fused):
    """Its version-1 layer is what those versions ran; the fused kernel adds up in another order."""
    import tf_keras
    from tf_keras.src.layers.normalization.batch_normalization_v1 import BatchNormalization

    from equivcheck.arms.legacy import own_copy

    inputs = tf_keras.Input((4, 4, 3))
    outputs = tf_keras.layers.Conv2D(5, 1)(inputs)
    theirs = tf_keras.Model(inputs, BatchNormalization(momentum=0.9, epsilon=0.01, fused=fused)(outputs))
    ours = own_copy(network, version)
    theirs.set_weights(network.get_weights())
    ours.trainable = theirs.trainable = False
    for training in (True, False):
        expected = np.array(theirs(X, training=training))
        got = np.array(ours(X, training=training))
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 * np.abs(expected).max() if fused else 0)
    for mine, other, before in zip(ours.get_weights(), theirs.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)
        np.testing.assert_array_equal(mine, before)


@pytest.mark.parametrize("version", GENERATIONS)
def test_inference_is_the_same_in_all_generations(network, version):
    from equivcheck.arms.legacy import own_copy

    copy = own_copy(network, version)
    np.testing.assert_array_equal(network(X, training=False), copy(X, training=False))
    np.testing.assert_array_equal(network(X), copy(X))


@pytest.mark.parametrize("version", ["2.1", "2.2", None])
def test_not_frozen_all_generations_train_alike(network, version):
    from equivcheck.arms.legacy import own_copy

    copy = own_copy(network, version)
    expected, mean, variance = by_hand(copy, X)
    np.testing.assert_allclose(copy(X, training=True), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(copy.get_layer("bn").get_weights()[2:], [mean, variance], rtol=1e-5)


@pytest.mark.parametrize("options", [{"axis": 1}, {"center": False}, {"scale": False}, {"axis": -1, "momentum": 0.5}])
def test_its_options_are_kept(options):
    """Against today's layer, which agrees where it is not frozen."""
    import keras

    from equivcheck.arms.legacy import own_copy

    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.BatchNormalization(name="bn", **options)])
    randomise(model)
    copy = own_copy(model, "2.2")
    np.testing.assert_allclose(copy(X, training=True), model(X, training=True), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("version", [None, "2.1"])
def test_a_copy_has_the_same_names_and_weights_and_shares_nothing(network, version):
    from equivcheck.arms.legacy import own_copy

    network.get_layer("conv").trainable = False
    copy = own_copy(network, version)
    assert copy.name == "base"
    assert [weight.path for weight in copy.weights] == [weight.path for weight in network.weights]
    assert [layer.name for layer in copy.layers[1:]] == [layer.name for layer in network.layers[1:]]
    assert not copy.get_layer("conv").trainable
    for ours, theirs in zip(copy.weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not {id(variable) for variable in copy.variables} & {id(variable) for variable in network.variables}
    before = network.get_weights()
    copy.set_weights([weight + 1 for weight in copy.get_weights()])
    for now, then in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_dropout_of_a_copy_has_its_own_seed_state():
    import keras

    from equivcheck.arms.legacy import own_copy

    model = keras.Sequential([keras.Input((8,)), keras.layers.Dropout(0.5, seed=3)])
    copy = own_copy(model, None)
    copy(np.ones((4, 8)), training=True)
    assert np.array(model.layers[0].seed_generator.state).tolist() == [3, 0]
    assert np.array(copy.layers[0].seed_generator.state).tolist() == [3, 1]


def test_networks_inside_networks_are_replaced_too():
    """``Sequential([preprocessing, MobileNetV2(...)])`` is how many a file is saved."""
    import keras

    from equivcheck.arms.legacy import own_copy

    inner = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.BatchNormalization(name="bn")], name="inner")
    outer = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Rescaling(0.5), inner], name="outer")
    randomise(outer)
    copy = own_copy(outer, "2.2")
    copy.trainable = False
    np.testing.assert_array_equal(copy(X, training=False), outer(X, training=False))
    assert not np.allclose(copy(X, training=True), outer(X, training=False), atol=0.1)
    assert copy.get_layer("inner").get_layer("bn").get_config()["updates_when_frozen"] is False


def test_a_layer_that_hides_its_batchnorm_is_refused():
    """It would silently run as today."""
    import keras

    from equivcheck.arms.legacy import own_copy

    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.bn = keras.layers.BatchNormalization(name="hidden")

        def call(self, inputs):
            return self.bn(inputs)

    model = keras.Sequential([keras.Input((4,)), Block(name="block")])
    own_copy(model, None)
    with pytest.raises(InputError, match=r"hidden lies inside another layer and cannot be run as Keras 2\.1 ran it$"):
        own_copy(model, "2.1")


@pytest.mark.parametrize("version", [None, "2.1"])
def test_a_normalization_that_was_adapted_stays_adapted(version):
    """EfficientNet begins with one. What it computes with is derived from its weights only when they are loaded."""
    import keras

    from equivcheck.arms.legacy import own_copy

    layer = keras.layers.Normalization(axis=-1)
    layer.adapt(X)
    model = keras.Sequential([keras.Input((4, 4, 3)), layer])
    np.testing.assert_array_equal(own_copy(model, version)(X), model(X))


def test_a_layer_that_is_called_twice():
    import keras

    from equivcheck.arms.legacy import own_copy

    inputs = keras.Input((4, 4, 3))
    shared = keras.layers.BatchNormalization(name="bn")
    model = keras.Model(inputs, shared(shared(inputs)))
    randomise(model)
    copy = own_copy(model, "2.2")
    assert len(copy.weights) == 4
    np.testing.assert_array_equal(copy(X), model(X))


def test_it_can_be_saved_and_loaded(network, tmp_path):
    import keras

    from equivcheck.arms.legacy import own_copy

    copy = own_copy(network, "2.0")
    copy.trainable = False
    copy.save(tmp_path / "old.keras")
    loaded = keras.models.load_model(tmp_path / "old.keras", compile=False)
    np.testing.assert_array_equal(loaded(X, training=True), copy(X, training=True))
    for ours, theirs in zip(loaded.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
