"""Layers are run again as often as it takes to tell how they behave, and no more."""

from __future__ import annotations

from collections import Counter
from functools import wraps

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

IMAGES = np.random.default_rng(0).random((4, 8, 8, 3)).astype(np.float32)


def measured(model):
    """Behaviour by path."""
    import keras

    from equivcheck.trace.behaviour import Meter
    from equivcheck.trace.layers import watch

    tensor = keras.ops.convert_to_tensor(IMAGES)
    seen, _ = watch(model, lambda: model(tensor, training=True), measure=Meter())
    return {call.path: call.behaviour for call in seen}


def counting(kind, calls):
    """A subclass of a layer that counts its runs; Keras takes it for its own."""

    @wraps(kind.call)
    def call(self, *args, **kwargs):
        calls[self.name] += 1
        return kind.call(self, *args, **kwargs)

    return type(kind.__name__, (kind,), {"call": call, "__module__": kind.__module__})


def test_what_draws_nothing_is_not_run_again_to_see_whether_it_draws():
    """Once as it is called, in inference mode, and with half of its mates; a layer that draws is run once more."""
    import keras

    calls = Counter()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            counting(keras.layers.BatchNormalization, calls)(name="norm"),
            counting(keras.layers.Dropout, calls)(0.5, name="drop"),
        ]
    )
    calls.clear()
    found = measured(model)
    assert (found["norm"].stochastic, found["drop"].stochastic) == (False, True)
    assert found["norm"].batch_gap > 0
    assert calls == {"norm": 3, "drop": 3}


def test_a_layer_of_the_users_inside_one_of_keras_may_draw():
    import keras

    class Unseeded(keras.layers.Layer):
        def call(self, inputs):
            return inputs * np.random.random()  # noqa: NPY002  (the one that no seed generator knows of)

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.TimeDistributed(Unseeded(), name="each")])
    assert measured(model)["each"].stochastic


def test_a_network_in_inference_mode_is_run_once_as_a_whole():
    import keras

    from equivcheck.arms.inference import InferenceMode

    calls = Counter()
    base = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            counting(keras.layers.Conv2D, calls)(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
        ],
        name="base",
    )
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, InferenceMode(base, name="mode")(inputs))
    calls.clear()
    found = measured(model)
    assert calls == {"conv": 1}
    assert {behaviour.batch_gap for behaviour in found.values()} == {0}
