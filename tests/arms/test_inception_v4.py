"""Inception V4 against the paper's figures and published counts."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from equivcheck.errors import InputError, SpecError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: Weights of 1000 classes as PyTorch counts them in the ports of the published network (timm's inception_v4, Cadene's
#: pretrained-models.pytorch, osmr's imgclsmob): without moving statistics, but with a scale a channel, which the
#: original's normalisation does not have.
PUBLISHED = 42_679_816
#: Convolutions of each block, counted in the paper's figures 3 to 8.
CONVOLUTIONS = {
    "stem": 11,
    "inception_a": 4 * 7,
    "reduction_a": 4,
    "inception_b": 7 * 10,
    "reduction_b": 6,
    "inception_c": 3 * 10,
}


@pytest.fixture(scope="module")
def make(tensorflow):
    from equivcheck.arms.inception_v4 import inception_v4

    return inception_v4


@pytest.fixture(scope="module")
def network(make):
    return make(classes=1000)


def kinds(network):
    return Counter(type(layer).__name__ for layer in network.layers)


def block_of(layer):
    """``inception_a`` of ``inception_a3_7_conv``."""
    return re.match(r"([a-z_]*[a-z])", layer.name)[1]


def test_parameters_are_as_many_as_published(network):
    channels = sum(
        layer.moving_mean.shape[0] for layer in network.layers if type(layer).__name__ == "BatchNormalization"
    )
    trained = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    assert trained + channels == PUBLISHED
    # Each normalisation has an offset, a mean and a variance.
    assert network.count_params() == PUBLISHED - 2 * channels + 3 * channels


def test_1001_classes_are_the_default(make, network):
    """The published weights have one class for the background."""
    assert make().count_params() == network.count_params() + 1536 + 1


def test_convolutions_are_those_of_the_figures(network):
    """149 in all, each with its normalisation; 4 + 7 + 3 pools keep the size and one ends the network."""
    found = Counter(block_of(layer) for layer in network.layers if type(layer).__name__ == "Conv2D")
    assert found == CONVOLUTIONS
    assert sum(found.values()) == 149
    assert kinds(network) == {
        "InputLayer": 1,
        "Conv2D": 149,
        "BatchNormalization": 149,
        "ReLU": 149,
        "Concatenate": 25,
        "MaxPooling2D": 4,
        "AveragePooling2D": 15,
        "Dropout": 1,
        "Flatten": 1,
        "Dense": 1,
    }


def test_maps_have_the_sizes_of_the_overview(network):
    """Figure 9, and the end of the stem."""
    joined = [layer for layer in network.layers if type(layer).__name__ == "Concatenate"]
    # The last of each block joins its branches; inside a block of kind C others do.
    assert {block_of(layer): tuple(layer.output.shape[1:]) for layer in joined} == {
        "stem": (35, 35, 384),
        "inception_a": (35, 35, 384),
        "reduction_a": (17, 17, 1024),
        "inception_b": (17, 17, 1024),
        "reduction_b": (8, 8, 1536),
        "inception_c": (8, 8, 1536),
    }


def test_layers_are_set_up_as_published(network):
    for layer in network.layers:
        if type(layer).__name__ == "Conv2D":
            assert not layer.use_bias
            assert float(layer.kernel_regularizer.l2) == pytest.approx(4e-5)
        elif type(layer).__name__ == "BatchNormalization":
            assert (layer.scale, layer.center, layer.axis % 4) == (False, True, 3)
            assert (layer.momentum, layer.epsilon) == (0.9997, 0.001)


def test_it_ends_as_people_count_its_layers(network):
    names = [layer.name for layer in network.layers]
    assert names[-4:] == ["avg_pool", "dropout", "flatten", "predictions"]
    assert network.get_layer("avg_pool").pool_size == (8, 8)
    assert network.get_layer("dropout").rate == 0.2
    assert network.layers[-2].output.shape == (None, 1536)


@pytest.mark.parametrize(
    ("about", "shape"),
    [
        ({"include_top": False}, (None, 1, 1, 1536)),
        ({"include_top": False, "pooling": "avg"}, (None, 1536)),
        ({"include_top": False, "pooling": "max"}, (None, 1536)),
        ({"classes": 2}, (None, 2)),
        ({"classes": 2, "input_shape": (107, 75, 1)}, (None, 2)),
    ],
)
def test_other_tops_and_sizes(make, about, shape):
    assert make(**{"input_shape": (75, 75, 3), **about}).output_shape == shape


def test_smaller_images_are_refused(make):
    with pytest.raises(ValueError, match=r"^Input size must be at least 75x75; input_shape is \(75, 74, 3\)$"):
        make(input_shape=(75, 74, 3))
    with pytest.raises(ValueError, match="there are none for inception_v4"):
        make(weights="imagenet")


@pytest.fixture
def small(experiment, tmp_path):
    """A cut of it from a spec of images of 75 x 75."""
    from equivcheck.arms.backbone import Stock, load_network, up_to_cut

    def of(*lines, size=75):
        text = "".join(f"  {line}\n" for line in ("application: inception_v4", *lines))
        arms = f"bottleneck: &size {{data: {{image_size: [{size}, {size}]}}}}\nfrozen: *size\n"
        spec = experiment(text, arms).bottleneck
        return up_to_cut(load_network(spec, Stock(), folder=tmp_path), spec)

    return of


def test_it_is_a_backbone_like_those_of_keras(small):
    assert small("weights: none").output_shape == (None, 1536)
    assert small("weights: none", "cut: flatten").layers[-2].name == "dropout"
    with pytest.raises(InputError, match=r"^inception_v4 with weights 'none' cannot be built: .*at least 75x75"):
        small("weights: none", size=74)


def test_weights_of_a_file(small, make, tmp_path):
    made = make(include_top=False, pooling="avg", input_shape=(75, 75, 3))
    made.save_weights(tmp_path / "mine.weights.h5")
    for ours, theirs in zip(small("weights: mine.weights.h5").get_weights(), made.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("lines", [(), ("weights: imagenet",)])
def test_there_are_no_imagenet_weights_for_it(small, lines):
    """Known before anything is built; imagenet is also what a spec without the key means."""
    with pytest.raises(SpecError, match="no weights for inception_v4; write none or the path of a weights file"):
        small(*lines)
