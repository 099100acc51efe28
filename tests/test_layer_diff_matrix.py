"""``diff_layers`` on the networks of ``keras.applications`` against copies of themselves, whole and with one fault."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from equivcheck import diff_layers

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: Side of the images that each network is given.
SIZES = {
    "MobileNetV3Small": 32,
    "VGG16": 32,
    "ResNet50": 32,
    "InceptionV3": 75,
    "MobileNet": 32,
    "MobileNetV2": 32,
    "EfficientNetB0": 32,
    "EfficientNetV2B0": 32,
    "DenseNet121": 32,
    "Xception": 71,
    "NASNetMobile": 32,
    "ConvNeXtTiny": 32,
}
MODES = ["inference", "training"]
MODES = ["inference", "training"]
#: Where the faults are, as shares of all weights: the first, the last, and between them kernels, gammas, betas, biases.
SPOTS = (0, 0.3, 0.5, 0.7, 1)


def make(name):
    import keras

    side = SIZES[name]
    # Without a softmax, which random weights saturate: what is one-hot to the last bit shows no fault before it.
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(side, side, 3), classes=5, classifier_activation=None
    )
    model.application = name  # its own name is another
    return model


def with_weights_of(model, copy):
    copy.set_weights(model.get_weights())
    return copy


def renamed(model):
    """A copy in which every layer, those inside of layers too, has another name."""
    import keras

    numbers = itertools.count()

    def other(layer):
        return type(layer).from_config({**layer.get_config(), "name": f"part_{next(numbers)}"})

    return with_weights_of(model, keras.models.clone_model(model, clone_function=other))


def nested(model):
    """A copy, renamed, as one layer of an outer functional model."""
    import keras

    inputs = keras.Input(model.input_shape[1:])
    return keras.Model(inputs, renamed(model)(inputs))


def in_sequential(model):
    """A copy of the same names as the only layer of a Sequential."""
    import keras

    return keras.Sequential([with_weights_of(model, keras.models.clone_model(model))])


def recreated(model):
    """The same network built a second time, with the automatic names that Keras then gives."""
    return with_weights_of(model, make(model.application))


COPIES = [renamed, nested, in_sequential, recreated]


def tiers(cases, quick):
    """Names and values as parameters; those that are not in ``quick`` are slow."""
    return [pytest.param(*case, marks=() if case in quick else pytest.mark.slow) for case in cases]


#: In the default tier: a plain stack against every copy, and residual blocks with squeeze-and-excitation against the
#: copy that is furthest from it; one fault in each. Everything else is slow.
EQUAL = tiers(itertools.product(SIZES, COPIES), {("MobileNetV3Small", nested), *(("VGG16", copy) for copy in COPIES)})
FAULTY = tiers(itertools.product(SIZES, SPOTS), {("MobileNetV3Small", 0.5), ("VGG16", 0.5)})


def alive(model, images):
    """Gives normalisation the statistics of these images: with those it starts with, what comes out is next to 0."""
    import keras

    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    model(images, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model


@pytest.fixture(scope="module")
def network(tensorflow):
    """Networks by name, of random weights, the last one kept, with a batch of four images."""
    import keras

    made = {}

    def get(name):
        if name not in made:
            made.clear()
            keras.utils.set_random_seed(0)
            side = SIZES[name]
            images = np.random.default_rng(0).uniform(0, 255, (4, side, side, 3)).astype(np.float32)
            made[name] = alive(make(name), images), images
        return made[name]

    return get


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "copy"), EQUAL)
def test_a_copy_is_equal_to_the_last_bit_and_every_layer_finds_its_own(network, name, copy, mode):
    """No exceptions: in no network is a layer left over, in neither mode."""
    model, images = network(name)
    diff = diff_layers(model, copy(model), images, mode)
    assert diff.equal
    assert diff.bit_equal
    assert diff.unaligned == ()
    assert (diff.sources, diff.first_divergence, diff.first_inexact) == ((), None, None)
    assert all(row.distance.floor is None for row in diff.layers)


def own_weights(model):
    """Every weight of a layer that ``fit`` would move, with its layer, in order of creation."""
    import keras

    return [
        (layer, weight)
        for layer in model._flatten_layers(include_self=False)
        if not isinstance(layer, keras.Model)
        for weight in layer._trainable_variables
    ]


@pytest.mark.parametrize(("name", "share"), FAULTY)
def test_one_fault_is_found_in_the_layer_that_has_it(network, name, share):
    """One weight of one layer is changed: that layer is the only source, and the first that differs, in both modes."""
    model, images = network(name)
    other = nested(model)
    weights = own_weights(other)
    layer, weight = weights[round(share * (len(weights) - 1))]
    size = float(np.abs(weight.numpy()).max()) or 1.0
    weight.assign(weight + np.random.default_rng(0).normal(0, 0.1 * size, weight.shape))
    for mode in MODES:
        diff = diff_layers(model, other, images, mode)
        found = [source.rpartition("/")[2] for source in diff.sources]
        assert (weight.path, mode, found) == (weight.path, mode, [layer.name])
        assert diff.first_divergence == diff.first_inexact == diff.sources[0]
        assert diff.unaligned == ()
