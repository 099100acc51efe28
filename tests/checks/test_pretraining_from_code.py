"""EQ202 on arms from the user's own code: nothing is declared but, at most, what the weights were trained with."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

PRELUDE = """
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from keras.applications import mobilenet_v2, vgg16

RANDOM = np.random.default_rng(0)
RAW = RANDOM.integers(0, 256, (24, 16, 16, 3)).astype("float32")
HELD = RANDOM.integers(0, 256, (24, 16, 16, 3)).astype("float32")
SMOOTH = tf.image.resize(RAW, (24, 24)).numpy()
LABELS = RANDOM.permutation(24)[:, None] % 3


def backbone(*inside):
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(6, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    base = keras.Sequential([keras.Input((None, None, 3)), *inside, *layers], name="base")
    base.trainable = False
    return base


def arm(x, layers, validation, **more):
    keras.utils.set_random_seed(7)
    model = keras.Sequential([*layers, keras.layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit = {"shuffle": False} | ({"batch_size": 8} if isinstance(x, np.ndarray) else {})
    train = (x, LABELS) if isinstance(x, np.ndarray) else x
    return SimpleNamespace(model=model, train=train, validation=validation, fit=fit, **more)


def ours(images, own, *inside, validation=None):
    base = backbone(*inside)
    features = base.predict(images, batch_size=8, verbose=0)
    held = {} if validation is None else {"validation_images": validation}
    stored = None if validation is None else (base.predict(validation, batch_size=8, verbose=0), LABELS)
    return arm(
        features, [keras.Input(features.shape[1:])], stored, backbone=base, images=images, preprocess_input=own, **held
    )


def theirs(data, own, *inside, validation=None):
    held = None if validation is None else (validation, LABELS)
    return arm(data, [keras.Input((None, None, 3)), backbone(*inside)], held, preprocess_input=own)


def dataset(images):
    return tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(8)
"""

VGG16, MOBILENET = "vgg16.preprocess_input", "mobilenet_v2.preprocess_input"
#: Name -> (images and what they are made of, the weights' own, layers inside the backbone).
UNLIKE = {
    "1/255 for caffe": ("RAW / 255", VGG16, ""),
    "1/255 for [-1, 1]": ("RAW / 255", MOBILENET, ""),
    "raw for caffe": ("RAW", VGG16, ""),
    "raw for [-1, 1]": ("RAW", MOBILENET, ""),
    "raw for caffe, resized": ("SMOOTH", VGG16, ""),
    "1/255 for caffe, resized": ("SMOOTH / 255", VGG16, ""),
    "caffe for [-1, 1]": ("vgg16.preprocess_input(RAW.copy())", MOBILENET, ""),
    "1/255 in the network, for caffe": ("RAW", VGG16, "keras.layers.Rescaling(1 / 255)"),
}
LIKE = {
    "caffe": ("vgg16.preprocess_input(RAW.copy())", VGG16, ""),
    "caffe, resized": ("vgg16.preprocess_input(SMOOTH.copy())", VGG16, ""),
    "[-1, 1]": ("RAW / 127.5 - 1", MOBILENET, ""),
    "[-1, 1], resized": ("SMOOTH / 127.5 - 1", MOBILENET, ""),
    "nothing known of the weights": ("RAW / 255", "None", ""),
    "values of another range": ("RAW * 3 - 17", VGG16, ""),
    "a dark room": ("RAW // 16 / 2000", VGG16, ""),
    "in the network": ("RAW", "lambda x: x", "keras.layers.Rescaling(1 / 255)"),
    "white on black": ("(RAW > 99).astype('float32')", "lambda x: x / 255", ""),
}


#: In the default tier; the others are slow.
QUICK = {
    "1/255 for caffe",
    "raw for [-1, 1]",
    "raw for caffe, resized",
    "1/255 in the network, for caffe",
    "caffe",
    "[-1, 1], resized",
    "values of another range",
    "in the network",
}


def tiers(kinds):
    """Names as parameters."""
    return [pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in kinds]


@pytest.fixture
def probe(probed_code):
    return lambda ours, theirs: probed_code("pretraining", PRELUDE, ours, theirs)


@pytest.mark.parametrize("kind", tiers(UNLIKE))
def test_both_arms_feed_what_the_weights_never_saw(probe, kind):
    images, own, inside = UNLIKE[kind]
    probed = probe(f"ours({images}, {own}, {inside})", f"theirs({images}, {own}, {inside})")
    assert probed.examination.failed == ()
    assert [(found.code, found.severity, found.arm) for found in probed.examination.findings] == [
        ("EQ202", "warning", "both")
    ]


@pytest.mark.parametrize("kind", tiers(LIKE))
def test_what_they_saw_or_what_cannot_be_told_is_silent(probe, kind):
    images, own, inside = LIKE[kind]
    probed = probe(f"ours({images}, {own}, {inside})", f"theirs({images}, {own}, {inside})")
    assert probed.examination.failed == ()
    assert probed.examination.findings == ()


@pytest.mark.parametrize("own", [VGG16, pytest.param(MOBILENET, marks=pytest.mark.slow)])
def test_augmented_arms_are_told_by_their_validation_images(probe, own):
    data = "dataset(RAW / 255).map(lambda x, y: (tf.image.adjust_contrast(x, 3.0), y))"
    images = "tf.image.adjust_contrast(RAW / 255, 3.0).numpy()"
    found = probe(
        f"ours({images}, {own}, validation=HELD / 255)", f"theirs({data}, {own}, validation=HELD / 255)"
    ).examination.findings
    assert [finding.code for finding in found] == ["EQ202"]


def test_where_one_arm_does_it_the_difference_is_the_finding(probe):
    found = probe(f"ours(RAW / 255, {MOBILENET})", f"theirs(RAW / 127.5 - 1, {MOBILENET})").examination.findings
    assert [(finding.code, finding.severity, finding.arm) for finding in found if finding.severity == "error"] == [
        ("EQ201", "error", "both")
    ]


def test_exchanged_channels_stay_exchanged_channels(probe):
    """Which channel comes first is not to be seen in one arm, but well between two."""
    found = probe(
        f"ours(RAW / 127.5 - 1, {MOBILENET})", f"theirs(RAW[..., ::-1] / 127.5 - 1, {MOBILENET})"
    ).examination.findings
    assert [finding.code for finding in found] == ["EQ207"]


def test_a_network_of_arrays_alone_is_judged_by_the_other_arm(probe):
    """Features that came without their backbone say nothing of pixels."""
    bare = "arm(backbone().predict(RAW / 255, batch_size=8, verbose=0), [keras.Input((6,))], None)"
    found = probe(bare, f"theirs(RAW / 255, {VGG16})").examination.findings
    assert [(finding.code, finding.arm) for finding in found] == [("EQ202", "frozen")]


def test_what_a_preprocess_input_must_return(probe):
    from equivcheck.errors import InputError

    with pytest.raises(InputError, match="preprocess_input"):
        probe("ours(RAW / 255, lambda x: x[..., 0])", f"theirs(RAW / 255, {VGG16})")
