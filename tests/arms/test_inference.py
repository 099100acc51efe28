"""A layer that keeps a network in inference mode, whatever ``fit`` asks for."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

X = np.ones((16, 4), np.float32)


@pytest.fixture
def base():
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, kernel_initializer="ones"),
            keras.layers.Dropout(0.5),
            keras.layers.BatchNormalization(),
        ],
        name="base",
    )


@pytest.fixture
def seen():
    """A model on top of what the base gives, and what ``fit`` passes through it."""
    import keras

    class Spy(keras.layers.Layer):
        values = ()

        def call(self, inputs):
            Spy.values += (inputs,)
            return inputs

    def through_fit(connect):
        Spy.values = ()
        inputs = keras.Input((4,))
        outputs = keras.layers.Dense(1)(Spy()(connect(inputs)))
        model = keras.Model(inputs, outputs)
        model.compile("sgd", "mse", run_eagerly=True)
        Spy.values = ()
        model.fit(X, np.zeros((16, 1)), batch_size=16, verbose=0)
        return np.array(Spy.values[0])

    return through_fit


def test_dropout_is_off_under_fit(base, seen):
    from equivcheck.arms.inference import InferenceMode

    base.trainable = False
    np.testing.assert_array_equal(seen(InferenceMode(base)), base(X, training=False))


def test_the_recipe_that_does_not_do_it(base, seen):
    """``base(x, training=False)`` in a graph, as in the official guide: the reason why the layer exists."""
    base.trainable = False
    half = (seen(lambda inputs: base(inputs, training=False)) == 0).mean()
    assert 0.3 < half < 0.7


def test_batchnorm_keeps_its_statistics_though_not_frozen(base, seen):
    from equivcheck.arms.inference import InferenceMode

    before = base.layers[-1].get_weights()[2:]
    seen(InferenceMode(base))
    np.testing.assert_array_equal(base.layers[-1].get_weights()[2:], before)


def test_what_it_gives_is_known_without_running_it(base, monkeypatch):
    import keras

    from equivcheck.arms.inference import InferenceMode

    monkeypatch.setattr(InferenceMode, "call", lambda *_: pytest.fail("was run"))
    images = keras.Input((4,))
    given, wanted = InferenceMode(base)(images), base(images)
    assert (given.shape, given.dtype) == (wanted.shape, wanted.dtype)


def test_it_is_frozen_with_its_network(base):
    import keras

    from equivcheck.arms.inference import InferenceMode

    model = keras.Sequential([keras.Input((4,)), InferenceMode(base, name="inference_mode"), keras.layers.Dense(1)])
    assert len(model.trainable_variables) == 4 + 2
    base.trainable = False
    assert len(model.trainable_variables) == 2
    assert model.layers[0].name == "inference_mode"


def test_it_can_be_saved_and_loaded(base, tmp_path):
    import keras

    from equivcheck.arms.inference import InferenceMode

    model = keras.Sequential([keras.Input((4,)), InferenceMode(base, name="inference_mode")])
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", compile=False)
    assert loaded.layers[0].name == "inference_mode"
    np.testing.assert_array_equal(loaded(X, training=True), model(X, training=True))


def test_its_config_can_be_used_more_than_once(base):
    from equivcheck.arms.inference import InferenceMode

    config = InferenceMode(base).get_config()
    one, two = InferenceMode.from_config(config), InferenceMode.from_config(config)
    assert one.network is not two.network
    assert one.network.name == two.network.name == "base"
