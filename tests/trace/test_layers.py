"""How each kind of layer behaves in ``fit``: found by running it, whatever it is called and whatever its flags say."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: Layers of Keras that draw in fit although they are frozen: constructor and arguments.
RANDOM = {
    "Dropout": (0.5,),
    "SpatialDropout2D": (0.5,),
    "GaussianNoise": (1.0,),
    "GaussianDropout": (0.5,),
    "AlphaDropout": (0.5,),
    "RandomFlip": ("horizontal",),
    "RandomRotation": (0.4,),
    "RandomZoom": (0.5,),
    "RandomContrast": (0.5,),
}
#: Those that set inputs to zero, which is what EQ401 names.
DROPPING = {"Dropout", "SpatialDropout2D"}
STEADY = {
    "BatchNormalization": (),  # frozen
    "LayerNormalization": (),
    "GroupNormalization": (3,),
    "UnitNormalization": (),
    "Conv2D": (3, 3),
    "DepthwiseConv2D": (3,),
    "MaxPooling2D": (),
    "ReLU": (),
    "Rescaling": (0.1,),
    "Activation": ("tanh",),
}


def custom_layers():
    """Layers as people write them; every name says what the layer does in training."""
    import keras
    import tensorflow as tf

    class Unseeded(keras.layers.Layer):
        """Draws from TensorFlow itself: no seed generator tells of it."""

        def call(self, inputs, training=None):
            return inputs + tf.random.normal(tf.shape(inputs)) if training else inputs

    class AlwaysNoisy(keras.layers.Layer):
        """Takes no flag at all."""

        def call(self, inputs):
            return inputs + tf.random.normal(tf.shape(inputs))

    class IgnoresTrainable(keras.layers.Layer):
        """A hand-written batch normalisation: the flag chooses the statistics, freezing does not."""

        def build(self, shape):
            self.mean = self.add_weight(shape=(shape[-1],), initializer="zeros", trainable=False, name="mean")
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

        def call(self, inputs, training=None):
            batch = keras.ops.mean(inputs, axis=(0, 1, 2))
            if training:
                self.mean.assign(0.9 * self.mean + 0.1 * batch)
            return self.scale * (inputs - (batch if training else self.mean))

    class IgnoresTraining(keras.layers.Layer):
        """Centres by the batch in every mode: no ``training`` argument."""

        def call(self, inputs):
            return inputs - keras.ops.mean(inputs, axis=0, keepdims=True)

    class DriftsOnly(keras.layers.BatchNormalization):
        """Normalises with moving statistics and updates them all the same."""

        def call(self, inputs, training=None, mask=None):
            outputs = super().call(inputs, training=False, mask=mask)
            if training:
                mean, _ = keras.ops.moments(inputs, axes=[0, 1, 2])
                self.moving_mean.assign(0.9 * self.moving_mean + 0.1 * mean)
            return outputs

    class Doubles(keras.layers.Layer):
        """Another function in training, neither random nor of the batch."""

        def call(self, inputs, training=None):
            return inputs * 2 if training else inputs

    return Unseeded, AlwaysNoisy, IgnoresTrainable, IgnoresTraining, DriftsOnly, Doubles


@pytest.fixture(scope="module")
def evidence(tensorflow, evidence_of):
    """One model with every layer in a branch of its own, all frozen but one, measured once."""
    import keras

    from equivcheck.arms.legacy import LegacyBatchNormalization

    keras.utils.set_random_seed(0)  # under op determinism TensorFlow's own draws want a seed
    layers = [getattr(keras.layers, kind)(*arguments, name=kind) for kind, arguments in {**RANDOM, **STEADY}.items()]
    layers += [
        LegacyBatchNormalization(name="Legacy"),
        LegacyBatchNormalization(name="LegacyUpdating", updates_when_frozen=True),
        *(layer(name=layer.__name__) for layer in custom_layers()),
    ]
    live = keras.layers.BatchNormalization(name="Unfrozen")
    inputs = keras.Input((8, 8, 3))
    branches = [keras.layers.GlobalAveragePooling2D()(layer(inputs)) for layer in [*layers, live]]
    outputs = keras.layers.Dense(3, activation="softmax")(keras.layers.Concatenate()(branches))
    for layer in layers:
        layer.trainable = False
    return evidence_of(keras.Model(inputs, outputs))


@pytest.fixture(scope="module")
def facts(evidence):
    return {layer.path: layer for layer in evidence.layers}


@pytest.mark.parametrize("kind", RANDOM)
def test_random_layers_draw_in_fit_although_frozen(facts, kind):
    layer = facts[kind]
    assert layer.stochastic
    assert layer.noise > 0.001
    assert not layer.trainable
    assert layer.flag.fit is True


@pytest.mark.parametrize("kind", RANDOM)
def test_only_dropping_layers_set_inputs_to_zero(facts, kind):
    if kind in DROPPING:
        assert facts[kind].dropped == pytest.approx(0.5, abs=0.3)
    elif kind in {"GaussianNoise", "GaussianDropout", "AlphaDropout", "RandomFlip"}:
        assert facts[kind].dropped < 0.01


@pytest.mark.parametrize("kind", STEADY)
def test_steady_layers_compute_the_same_in_both_modes(facts, kind):
    layer = facts[kind]
    assert (layer.stochastic, layer.noise, layer.mode_gap, layer.batch_gap) == (False, 0, 0, 0)


@pytest.mark.parametrize("kind", ["Unfrozen", "Legacy", "LegacyUpdating", "IgnoresTrainable"])
def test_normalisation_by_the_batch_is_seen(facts, kind):
    """A sample's output changes with its mates, and fit differs from inference."""
    layer = facts[kind]
    assert not layer.stochastic
    assert layer.batch_gap > 0.001
    assert layer.mode_gap > 0.001


def test_a_layer_that_looks_at_its_batch_in_every_mode(facts):
    """Nothing to do with the mode, so no fault of fit's: the batch tells, the mode does not."""
    assert facts["IgnoresTraining"].batch_gap > 0.001
    assert facts["IgnoresTraining"].mode_gap == 0


@pytest.mark.parametrize("kind", ["Unseeded", "AlwaysNoisy"])
def test_a_layer_that_draws_without_a_seed_generator_is_stochastic(facts, kind):
    assert facts[kind].stochastic


def test_another_function_in_training_is_a_mode_gap_and_nothing_else(facts):
    layer = facts["Doubles"]
    assert layer.mode_gap == pytest.approx(1)
    assert (layer.stochastic, layer.batch_gap) == (False, 0)


def moved(evidence, path):
    return {variable.path: variable.statistic for variable in evidence.variables if variable.change > 0}.get(path)


def test_statistics_that_only_drift_show_in_the_step_and_not_in_the_output(facts, evidence):
    layer = facts["DriftsOnly"]
    assert (layer.mode_gap, layer.batch_gap, layer.stochastic) == (0, 0, False)
    assert moved(evidence, "DriftsOnly/moving_mean") is True
    assert moved(evidence, "DriftsOnly/moving_variance") is None


@pytest.mark.parametrize(
    ("path", "statistic"),
    [
        ("Unfrozen/gamma", False),
        ("Unfrozen/moving_mean", True),
        ("LegacyUpdating/moving_mean", True),
        ("IgnoresTrainable/mean", True),
        ("Legacy/moving_mean", None),
        ("Legacy/gamma", None),
        ("BatchNormalization/moving_mean", None),
        ("BatchNormalization/gamma", None),
        ("IgnoresTrainable/scale", None),
        ("Conv2D/kernel", None),
    ],
)
def test_what_one_step_moved(evidence, path, statistic):
    """None: it stayed. A frozen weight is a weight all the same, never a statistic."""
    assert moved(evidence, path) is statistic
    if statistic is None:
        variable = next(variable for variable in evidence.variables if variable.path == path)
        assert variable.statistic == ("moving" in path)


def test_seed_states_are_no_weights(evidence):
    assert not [variable.path for variable in evidence.variables if "seed" in variable.path]


def test_old_batch_normalisation_agrees_with_todays_in_inference(images):
    """Only fit tells the semantics apart."""
    import keras

    from equivcheck.arms.legacy import LegacyBatchNormalization

    old, new = LegacyBatchNormalization(), keras.layers.BatchNormalization()
    np.testing.assert_array_equal(np.array(old(images, training=False)), np.array(new(images, training=False)))
