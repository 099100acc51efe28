"""The noise floor, and what rounding really does to three networks.

``diff.distance.FLOORS`` is how many floors a difference may have and still be rounding. Measured on a CPU with oneDNN:
the largest difference of any layer as a multiple of its floor, the floor being that of two images; networks of random
weights on images in [0, 255], 32 pixels a side (InceptionV3: 75), TensorFlow under op determinism.

============================================  ===========  ========  ===========
inference                                     MobileNetV2  ResNet50  InceptionV3
============================================  ===========  ========  ===========
convolutions summed backwards, 2 images              1.53      4.74         2.02
convolutions summed backwards, 8 images              1.90      4.74         3.09
one image at a time against 8 images                 0.18      4.74         1.20
a graph against eager execution                      0         0            0
============================================  ===========  ========  ===========

============================================  ===========  ========  ===========
training                                      MobileNetV2  ResNet50  InceptionV3
============================================  ===========  ========  ===========
convolutions summed backwards, 2 images              1.59      1.50         2.12
convolutions summed backwards, 8 images              1.35      1.40         1.49
a graph against eager execution                      0         0            0
============================================  ===========  ========  ===========

Of the sums backwards, the median over layers is 0.5 to 1.4 and the 95th percentile at most 1.94. The 4.74 is a softmax
whose floor is 2.5e-8, less than one rounding of its type, where ``Distance.noise`` (1e-5) decides and not the floor.
Where the floor decides, which is in training only (normalisation by a small batch lifts a rounding up to 4e-3 of the
activation in InceptionV3), the largest multiple is 2.12; 8 leaves a factor of almost four.
"""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.diff.distance import FLOORS
from equivcheck.trace.behaviour import largest_gap
from equivcheck.trace.floor import floors, one_rounding
from equivcheck.trace.layers import watch
from equivcheck.trace.state import restored

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3)).astype(np.float32)


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 10), ("bfloat16", 7), ("float32", 23), ("float64", 52)])
def test_one_rounding_moves_every_number_by_its_last_place(tensorflow, dtype, bits):
    """Up or down, by at most one unit in the last place of its type, and the type stays."""
    values = tensorflow.cast(IMAGES, dtype)
    moved = one_rounding(values)
    wide, apart = np.float64(values), np.abs(np.float64(moved) - np.float64(values))
    assert moved.dtype == values.dtype
    assert (apart > 0).all()
    assert (apart <= 2.0**-bits * np.abs(wide)).all()


def test_integers_and_text_have_no_rounding(tensorflow):
    batch = {"ids": tensorflow.constant([[1, 2]]), "words": tensorflow.constant(["a"])}
    moved = one_rounding(batch)
    assert {name: moved[name].numpy().tolist() for name in batch} == {"ids": [[1, 2]], "words": [b"a"]}


def test_the_same_rounding_each_time():
    assert np.array_equal(one_rounding(IMAGES), one_rounding(IMAGES))


@pytest.fixture(scope="module")
def network(tensorflow):
    """Six convolutions with normalisation between them: deep enough to lift a rounding in training."""
    import keras

    keras.utils.set_random_seed(0)
    blocks = [
        layer
        for number in range(6)
        for layer in (
            keras.layers.Conv2D(16, 3, strides=1 + number % 2, padding="same", name=f"conv{number}"),
            keras.layers.BatchNormalization(name=f"norm{number}"),
            keras.layers.ReLU(name=f"relu{number}"),
        )
    ]
    return keras.Sequential([keras.Input((16, 16, 3)), *blocks, keras.layers.Dense(5, name="head")])


def run(model, images, *, training):
    with restored(model.variables):
        return watch(model, lambda: model(images, training=training))[0]


@pytest.mark.parametrize("training", [False, True])
def test_a_sum_in_another_order_stays_below_what_counts_as_a_divergence(network, monkeypatch, training):
    """Every convolution adds its channels backwards: no layer moves by ``FLOORS`` floors."""
    import keras

    few = IMAGES[:2]
    left = run(network, few, training=training)
    floor = floors(left, run(network, one_rounding(few), training=training))
    assert floor.keys() == {seen.path for seen in left}
    assert all(value > 0 for value in floor.values())
    forwards = keras.layers.Conv2D.convolution_op
    monkeypatch.setattr(
        keras.layers.Conv2D,
        "convolution_op",
        lambda layer, inputs, kernel: forwards(layer, inputs[..., ::-1], kernel[:, :, ::-1]),
    )
    again = run(network, few, training=training)
    multiples = [
        largest_gap(one.outputs, other.outputs) / floor[one.path] for one, other in zip(left, again, strict=True)
    ]
    assert 0 < max(multiples) < FLOORS / 2


def test_a_fault_is_far_beyond_the_floor(network):
    """One part in a thousand in the first kernel, which is nothing much, is hundreds of floors in every layer."""
    left = run(network, IMAGES[:2], training=False)
    floor = floors(left, run(network, one_rounding(IMAGES[:2]), training=False))
    kernel = network.get_layer("conv0").kernel
    with restored([kernel]):
        kernel.assign(kernel * 1.001)
        other = run(network, IMAGES[:2], training=False)
    assert all(
        largest_gap(one.outputs, two.outputs) / floor[one.path] > 100 * FLOORS
        for one, two in zip(left, other, strict=True)
    )
