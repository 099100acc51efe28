"""Images of arms from the user's own code: rescaled, augmented, resized, exchanged, changed in place, or just equal."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

PRELUDE = """
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator

RANDOM = np.random.default_rng(0)
COARSE = RANDOM.uniform(0, 255, (36, 6, 9, 3)).astype("float32")
LARGE = np.clip(tf.image.resize(COARSE, (96, 144), "bicubic").numpy() + RANDOM.normal(0, 9, (36, 96, 144, 3)), 0, 255)
IMAGES = tf.image.resize(LARGE, (32, 32), antialias=True).numpy()
LABELS = RANDOM.permutation(36)[:, None] % 3
RAW = np.rint(IMAGES).astype("float32")
RAW_AGAIN = RAW.copy()


def scaled(images):
    return images / 127.5 - 1


def compiled(model):
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def dense():
    keras.utils.set_random_seed(7)
    return keras.layers.Dense(3, activation="softmax", name="probabilities")


def backbone(*inside):
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Conv2D(6, 3, activation="relu", name="conv"),
        keras.layers.BatchNormalization(name="bn"),
        keras.layers.GlobalAveragePooling2D(name="pool"),
    ]
    base = keras.Sequential([keras.Input((None, None, 3)), *inside, *layers], name="base")
    base.trainable = False
    return base


def bottleneck(images, *inside):
    base = backbone(*inside)
    features = base.predict(images, batch_size=9, verbose=0)
    head = compiled(keras.Sequential([keras.Input((6,)), dense()], name="head"))
    return SimpleNamespace(
        model=head, train=(features, LABELS), validation=None, fit={"batch_size": 9, "shuffle": False},
        backbone=base, images=images,
    )


def frozen(data, *inside, front=()):
    inputs = x = keras.Input((None, None, 3))
    for layer in front:
        x = layer(x)
    model = compiled(keras.Model(inputs, dense()(backbone(*inside)(x))))
    fit = {"shuffle": False} | ({"batch_size": 9} if isinstance(data, np.ndarray) else {})
    return SimpleNamespace(
        model=model, train=(data, LABELS) if isinstance(data, np.ndarray) else data, validation=None, fit=fit
    )


def beside(images, features, base=None):
    arm = bottleneck(images)
    arm.train = (features, LABELS)
    arm.backbone = base or arm.backbone
    return arm


def features_of(images):
    state = np.random.get_state()
    base = backbone()
    np.random.set_state(state)  # weights that are read from a file set no seed
    return base.predict(images, batch_size=None if hasattr(images, "reset") else 9, verbose=0)


def passed(images):
    augmenting = ImageDataGenerator(horizontal_flip=True, rotation_range=20)
    return augmenting.flow(images, batch_size=9, shuffle=False)


def dropping():
    return keras.Sequential([backbone(), keras.layers.Dropout(0.5)], name="dropping")


def without_images(images):
    arm = bottleneck(images)
    del arm.backbone, arm.images
    return arm


def dataset(images, change=None, shuffle=False):
    made = tf.data.Dataset.from_tensor_slices((images, LABELS))
    if shuffle:
        made = made.shuffle(36)
    made = made.batch(9)
    return made if change is None else made.map(lambda x, y: (change(x), y))


BUFFER = np.zeros_like(RAW)


def filled(images):
    BUFFER[:] = images
    return BUFFER


def flips():
    layer = keras.layers.RandomFlip("horizontal")
    return lambda x: layer(x, training=True)


def turns():
    layers = keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1), keras.layers.RandomZoom(0.1)

    def change(x):
        for layer in layers:
            x = layer(x, training=True)
        return x

    return change


def drawn(images, change=flips):
    return np.asarray(change()(images))
"""

#: What each pair of functions returns, and the errors to be found.
FAULTY = {
    "a layer rescales what was rescaled": (
        "bottleneck(RAW / 255)",
        "frozen(RAW / 255, front=[keras.layers.Rescaling(1 / 255)])",
        ["EQ203"],
    ),
    "divided twice outside": ("bottleneck(RAW / 255)", "frozen(RAW / 255 / 255)", ["EQ203"]),
    "the bottleneck arm rescales twice": (
        "bottleneck(scaled(RAW), keras.layers.Rescaling(1 / 127.5, offset=-1))",
        "frozen(RAW, front=[keras.layers.Rescaling(1 / 127.5, offset=-1)])",
        ["EQ203"],
    ),
    "features of flipped images": ("bottleneck(drawn(scaled(RAW)))", "frozen(scaled(RAW))", ["EQ204"]),
    "features of turned images": ("bottleneck(drawn(scaled(RAW), turns))", "frozen(scaled(RAW))", ["EQ204"]),
    "one draw against new draws": (
        "bottleneck(drawn(scaled(RAW), turns))",
        "frozen(dataset(scaled(RAW), turns()))",
        ["EQ204"],
    ),
    "features of one augmented pass, beside plain images": (
        "beside(scaled(RAW), features_of(passed(scaled(RAW))))",
        "frozen(scaled(RAW))",
        ["EQ204"],
    ),
    "features of one augmented pass, beside the images of another": (
        "beside(np.concatenate([passed(scaled(RAW))[batch] for batch in range(4)]), features_of(passed(scaled(RAW))))",
        "frozen(scaled(RAW))",
        ["EQ204"],
    ),
    "features of other weights": ("beside(scaled(RAW), features_of(RAW / 255))", "frozen(scaled(RAW))", ["EQ111"]),
    "features of a network that dropped units": (
        "beside(scaled(RAW), np.asarray(dropping()(scaled(RAW), training=True)), dropping())",
        "frozen(scaled(RAW))",
        ["EQ111"],
    ),
    "random layers in front": (
        "bottleneck(scaled(RAW))",
        "frozen(scaled(RAW), front=[keras.layers.RandomFlip()])",
        ["EQ205"],
    ),
    "noise in front": (
        "bottleneck(scaled(RAW))",
        "frozen(scaled(RAW), front=[keras.layers.GaussianNoise(0.1)])",
        ["EQ205"],
    ),
    "a data set that flips": ("bottleneck(scaled(RAW))", "frozen(dataset(scaled(RAW), flips()))", ["EQ205"]),
    "a data set that turns": ("bottleneck(scaled(RAW))", "frozen(dataset(scaled(RAW), turns()))", ["EQ205"]),
    "a generator that augments": (
        "bottleneck(scaled(RAW))",
        "frozen(ImageDataGenerator(horizontal_flip=True).flow(scaled(RAW), LABELS, batch_size=9, shuffle=False))",
        ["EQ205"],
    ),
    "another interpolation": (
        "bottleneck(scaled(tf.image.resize(LARGE, (32, 32), antialias=True).numpy()))",
        "frozen(scaled(tf.image.resize(LARGE, (32, 32), 'nearest').numpy()))",
        ["EQ206"],
    ),
    "another size": (
        "bottleneck(scaled(IMAGES))",
        "frozen(scaled(tf.image.resize(LARGE, (48, 48)).numpy()))",
        ["EQ206"],
    ),
    "a crop": (
        "bottleneck(scaled(IMAGES))",
        "frozen(scaled(tf.image.resize(LARGE[:, :, 24:120], (32, 32)).numpy()))",
        ["EQ206"],
    ),
    "another interpolation and another mode": (
        "bottleneck(scaled(IMAGES))",
        "frozen(tf.image.resize(LARGE, (32, 32), 'nearest').numpy() / 255)",
        ["EQ201", "EQ206"],
    ),
    "blue for red": ("bottleneck(scaled(RAW))", "frozen(scaled(RAW[..., ::-1]))", ["EQ207"]),
    "blue for red and another mode": ("bottleneck(scaled(RAW))", "frozen(RAW[..., ::-1] / 255)", ["EQ201", "EQ207"]),
    "caffe against [-1, 1]": (
        "bottleneck(scaled(RAW))",
        "frozen(keras.applications.vgg16.preprocess_input(RAW.copy()))",
        ["EQ201"],
    ),
    "every image by itself": (
        "bottleneck(scaled(RAW))",
        "frozen(tf.image.per_image_standardization(RAW).numpy())",
        ["EQ201"],
    ),
    "a gamma": ("bottleneck(RAW / 255)", "frozen((RAW / 255) ** 0.5)", ["EQ201"]),
    "in place, in both": (
        "bottleneck(keras.applications.mobilenet_v2.preprocess_input(RAW))",
        "frozen(keras.applications.mobilenet_v2.preprocess_input(RAW))",
        ["EQ208"],
    ),
    "in place, of a copy": (
        "bottleneck(keras.applications.mobilenet_v2.preprocess_input(RAW).copy())",
        "frozen(keras.applications.mobilenet_v2.preprocess_input(RAW).copy())",
        ["EQ208"],
    ),
    "in place, of a data set": (
        "bottleneck(keras.applications.mobilenet_v2.preprocess_input(RAW))",
        "frozen(dataset(keras.applications.mobilenet_v2.preprocess_input(RAW)))",
        ["EQ208"],
    ),
    "in place, of features alone": (
        "without_images(keras.applications.mobilenet_v2.preprocess_input(RAW))",
        "frozen(keras.applications.mobilenet_v2.preprocess_input(RAW))",
        ["EQ208"],
    ),
    "in place, by one arm, before the other": (
        "bottleneck(keras.applications.mobilenet_v2.preprocess_input(RAW).copy())",
        "frozen(scaled(RAW))",
        ["EQ208"],
    ),
    "width and height": (
        "bottleneck(scaled(tf.image.resize(LARGE, (24, 36)).numpy()))",
        "frozen(scaled(tf.image.resize(LARGE, (36, 24)).numpy()))",
        ["EQ209"],
    ),
    "on its side": ("bottleneck(scaled(RAW))", "frozen(scaled(RAW.transpose(0, 2, 1, 3)))", ["EQ209"]),
}

CLEAN = {
    "grey levels in bytes and in floats": ("bottleneck(RAW.astype('uint8'))", "frozen(RAW)"),
    "rescaled inside one and outside the other": (
        "bottleneck(scaled(RAW))",
        "frozen(RAW, front=[keras.layers.Rescaling(1 / 127.5, offset=-1)])",
    ),
    "rescaled by the data set": ("bottleneck(scaled(RAW))", "frozen(dataset(RAW, scaled))"),
    "rescaled by a generator": (
        "bottleneck(RAW * np.float32(1 / 255))",
        "frozen(ImageDataGenerator(rescale=1 / 255).flow(RAW, LABELS, batch_size=9, shuffle=False))",
    ),
    "the same views in both": ("bottleneck(VIEWS)", "frozen(VIEWS)"),
    "half precision": ("bottleneck(scaled(RAW).astype('float16'))", "frozen(scaled(RAW).astype('float16'))"),
    "in place, of integers": (
        "bottleneck(keras.applications.mobilenet_v2.preprocess_input(RAW.astype('uint8')))",
        "frozen(keras.applications.mobilenet_v2.preprocess_input(RAW.astype('uint8')))",
    ),
    "a buffer that both fill": ("bottleneck(filled(scaled(RAW)))", "frozen(filled(scaled(RAW)))"),
    "a crop in both": ("bottleneck(scaled(IMAGES[:, 4:28, 4:28]))", "frozen(scaled(IMAGES[:, 4:28, 4:28]))"),
}


@pytest.fixture
def probe(probed_code):
    """Measures two arms, each a return value written as an expression of the module above."""
    return lambda ours, theirs: probed_code("images", f"{PRELUDE}\n\nVIEWS = drawn(scaled(RAW))", ours, theirs)


@pytest.mark.parametrize("fault", FAULTY)
def test_the_cause_is_named_and_no_other(probe, fault):
    ours, theirs, expected = FAULTY[fault]
    probed = probe(ours, theirs)
    assert probed.examination.failed == ()
    assert sorted(finding.code for finding in probed.errors) == expected, probed.evidence.image_gap


@pytest.mark.parametrize("kind", CLEAN)
def test_what_is_equal_at_the_first_kernel_is_silent(probe, kind):
    probed = probe(*CLEAN[kind])
    assert probed.examination.failed == ()
    assert [finding.code for finding in probed.examination.findings] == []


def test_an_array_that_is_changed_where_the_arms_agree_is_a_warning(probe):
    """It bites whoever builds one of the arms again; the run is as reproducible as it was."""
    changed = "keras.applications.mobilenet_v2.preprocess_input(RAW).copy()"
    findings = probe(f"bottleneck({changed})", "frozen(scaled(RAW_AGAIN))").examination.findings
    assert [(finding.code, finding.severity, finding.arm) for finding in findings] == [
        ("EQ208", "warning", "bottleneck")
    ]
    assert findings[0].message.startswith("images_")
    assert ".RAW is preprocessed in place" in findings[0].message


def test_both_arms_that_rescale_twice_are_warned(probe):
    twice = "RAW / 255, keras.layers.Rescaling(1 / 255)"
    findings = probe(f"bottleneck({twice})", f"frozen({twice})").examination.findings
    assert [(finding.code, finding.severity, finding.arm) for finding in findings] == [("EQ203", "warning", "both")]


def test_views_that_also_come_shuffled_are_recognised(probe):
    codes = {
        found.code for found in probe("bottleneck(scaled(RAW))", "frozen(dataset(scaled(RAW), turns(), True))").errors
    }
    assert codes == {"EQ103", "EQ205"}
