"""A tape inside an eager step records what is trained, and gradients are the same to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

IMAGES = np.random.default_rng(0).random((4, 8, 8, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0])


def network(**layers):
    """A frozen backbone with convolution and normalisation, and a head; ``own`` takes the place of its activation."""
    import keras

    keras.utils.set_random_seed(0)
    base = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            layers.get("own") or keras.layers.ReLU(),
            keras.layers.Flatten(),
        ],
        name="base",
    )
    base.trainable = False
    inputs = keras.Input((8, 8, 3))
    model = layers.get("kind", keras.Model)(
        inputs, keras.layers.Dense(3, activation="softmax", name="dense")(base(inputs))
    )
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    return model


def watched(model):
    """Names of the variables that a tape has seen."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        model(IMAGES, training=True)
    return sorted(variable.name.partition(":")[0] for variable in tape.watched_variables())


def test_what_is_frozen_is_not_recorded_inside_and_is_outside():
    from equivcheck.trace.tape import recording_trained

    model = network()
    everything = watched(model)
    with recording_trained(model):
        assert watched(model) == ["dense/bias", "dense/kernel"]
    assert watched(model) == everything
    assert len(everything) == 6


def test_also_after_an_error():
    from equivcheck.trace.tape import recording_trained

    model = network()
    with pytest.raises(ZeroDivisionError), recording_trained(model):
        raise ZeroDivisionError
    assert len(watched(model)) == 6


def test_gradients_are_those_of_a_step_that_records_all():
    import tensorflow as tf

    from equivcheck.trace.backward import backward

    model = network()
    trained = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=LABELS, y_pred=model(IMAGES, training=True))
    found = backward(model, (tf.constant(IMAGES), tf.constant(LABELS))).gradients
    for variable, gradient in zip(model.trainable_variables, tape.gradient(loss, trained), strict=True):
        np.testing.assert_array_equal(found[id(variable)], gradient)


def own_step():
    """A step that asks for every gradient, frozen or not."""
    import keras
    import tensorflow as tf

    class Curious(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            every = [variable for variable in self.variables if "seed" not in variable.path]
            self.optimizer.apply(tape.gradient(loss, [variable.value for variable in every]), every)
            return {"loss": loss}

    return network(kind=Curious)


def own_loss():
    """A loss of the step's own, which may hold the size of a gradient."""
    import keras

    class Penalised(keras.Model):
        def compute_loss(self, *args, **kwargs):
            return super().compute_loss(*args, **kwargs)

    return network(kind=Penalised)


def own_layer():
    """A layer that takes a gradient itself."""
    import keras

    class Sharp(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 2

    return network(own=Sharp())


def own_function():
    import keras

    return network(own=keras.layers.Lambda(lambda inputs: inputs * 2))


@pytest.mark.parametrize("make", [own_step, own_loss, own_layer, own_function])
def test_who_may_ask_for_any_gradient_gets_it(make):
    from equivcheck.trace.tape import recording_trained

    model = make()
    everything = watched(model)
    with recording_trained(model):
        assert watched(model) == everything
