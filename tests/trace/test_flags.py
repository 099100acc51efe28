"""What Keras really does with ``training``: the first table of the causes, so that a new Keras cannot change it unseen.

Zeros are counted behind a Dropout(0.5) in a nested backbone, and compared with the flag that our hooks report.
"""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

ONES = np.ones((16, 64), np.float32)
HALF, NONE = (0.4, 0.6), (0.0, 0.0)

#: Written in the graph -> share of zeros under m(x), m(x, training=False), m(x, training=True), fit, predict.
TABLE = {
    "nothing": ({}, (NONE, NONE, HALF, HALF, NONE)),
    "training=False": ({"training": False}, (NONE, NONE, HALF, HALF, NONE)),
    "training=True": ({"training": True}, (HALF, NONE, HALF, HALF, NONE)),
}


def share_of_zeros(_labels, outputs):
    """A loss that says how many outputs are zero, and whose gradient is zero."""
    import keras

    return keras.ops.mean(keras.ops.cast(outputs == 0, "float32"), axis=-1) + 0 * keras.ops.mean(outputs, axis=-1)


@pytest.fixture(scope="module", params=TABLE)
def row(request):
    """A model whose outputs are those of the backbone's dropout, times one, and what is expected of it."""
    import keras

    written, expected = TABLE[request.param]
    base = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5, name="drop")], name="base")
    base.trainable = False
    inputs = keras.Input((64,))
    # PReLU leaves ones and zeros as they are, and has something to train.
    model = keras.Model(inputs, keras.layers.PReLU(name="prelu")(base(inputs, **written)))
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=share_of_zeros)
    return model, expected


def test_zeros_behind_a_frozen_dropout(row):
    import keras

    model, expected = row
    keras.utils.set_random_seed(0)
    found = [float((np.array(model(ONES, **flag)) == 0).mean()) for flag in ({}, {"training": False})]
    found.append(float((np.array(model(ONES, training=True)) == 0).mean()))
    found.append(model.fit(ONES, ONES, verbose=0).history["loss"][0])
    found.append(float((model.predict(ONES, verbose=0) == 0).mean()))
    for share, (low, high) in zip(found, expected, strict=True):
        assert low <= share <= high, found


def test_the_flags_that_are_reported_are_those_that_layers_obey(row, evidence_of, make_arm):
    """From fit the frozen dropout gets True, whatever is written; from evaluate and predict it gets False."""
    model, _ = row
    layers = {layer.path: layer for layer in evidence_of(make_arm(model, ONES, ONES)).layers}
    flag = layers["base/drop"].flag
    assert (flag.fit, flag.evaluate, flag.predict) == (True, False, False)
    assert layers["base/drop"].stochastic
    assert layers["base/drop"].dropped == pytest.approx(0.5, abs=0.1)
    assert (layers["prelu"].flag.fit, layers["prelu"].stochastic) == (None, False)


def test_a_flag_passed_inside_call_is_kept(evidence_of, make_arm):
    """The one way to keep a backbone in inference mode that is proof against fit."""
    import keras

    from equivcheck.arms.inference import InferenceMode

    base = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5, name="drop")], name="base")
    inputs = keras.Input((64,))
    model = keras.Model(inputs, keras.layers.PReLU()(InferenceMode(base, name="mode")(inputs)))
    model.compile(optimizer="sgd", loss=share_of_zeros)
    layers = {layer.path: layer for layer in evidence_of(make_arm(model, ONES, ONES)).layers}
    drop = layers["mode/base/drop"]
    assert (drop.flag.fit, drop.flag.evaluate, drop.flag.predict) == (False, False, False)
    assert not drop.stochastic
    assert model.fit(ONES, ONES, verbose=0).history["loss"] == [0.0]


def test_what_does_not_switch_dropout_off(tensorflow):
    """``dropout.trainable = False`` does nothing; ``rate = 0`` comes too late once fit has traced the model."""
    import keras

    drop = keras.layers.Dropout(0.5)
    model = keras.Sequential([keras.Input((64,)), drop, keras.layers.PReLU()])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=share_of_zeros)
    drop.trainable = False
    assert model.fit(ONES, ONES, verbose=0).history["loss"][0] > 0.4
    drop.rate = 0.0
    assert model.fit(ONES, ONES, verbose=0).history["loss"][0] > 0.4
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=share_of_zeros)
    assert model.fit(ONES, ONES, verbose=0).history["loss"][0] == 0
