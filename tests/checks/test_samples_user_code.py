"""Samples and their order in arms from the user's own code, where every origin is measured and nothing is declared."""

from __future__ import annotations

import pytest

from equivcheck.spec import load

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: 36 images of three classes, stored class by class as folders are, and 12 others to validate on.
CODE = '''
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

RANDOM = np.random.default_rng(0)
N = 36
LABELS, OTHERS = np.repeat(np.arange(3), 12), np.repeat(np.arange(3), 4)
IMAGES = RANDOM.normal(LABELS[:, None, None, None], size=(36, 8, 8, 3)).astype("float32")
UNSEEN = RANDOM.normal(OTHERS[:, None, None, None], size=(12, 8, 8, 3)).astype("float32")
UNLIKE = np.random.default_rng(9).normal(size=(12, 8, 8, 3)).astype("float32")
MIXED = RANDOM.permutation(36)
FIT = {"epochs": 2, "batch_size": 6}


def backbone(seed=1):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Conv2D(6, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    base = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="base")
    base.trainable = False
    return base


def compiled(*layers):
    head = keras.layers.Dense(3, "softmax", kernel_initializer=keras.initializers.GlorotUniform(seed=2), name="top")
    model = keras.Sequential([*layers, head])
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def features(images, base=None):
    return (base or backbone()).predict(images, batch_size=6, verbose=0)


def bottleneck(x=None, y=LABELS, images=IMAGES, validation=..., validation_images=UNSEEN, fit=FIT):
    x = features(images) if x is None else x
    validation = (features(UNSEEN), OTHERS) if validation is ... else validation
    return SimpleNamespace(
        model=compiled(keras.Input((6,))), train=(x, y), validation=validation, fit=fit, backbone=backbone(),
        images=images, validation_images=validation_images,
    )


def frozen(train=(IMAGES, LABELS), validation=(UNSEEN, OTHERS), fit=FIT):
    return SimpleNamespace(
        model=compiled(keras.Input((8, 8, 3)), backbone()), train=train, validation=validation, fit=fit
    )


def stored_order(x=None, y=None, **more):
    """A bottleneck arm that does not shuffle, on mixed samples."""
    return bottleneck(x, LABELS[MIXED] if y is None else y, images=IMAGES[MIXED], fit={**FIT, "shuffle": False}, **more)


def pairs(x=IMAGES[MIXED], y=LABELS[MIXED]):
    return tf.data.Dataset.from_tensor_slices((x, y))


def dataset(data, **more):
    return frozen(data, fit={"epochs": 2, **more}, validation=pairs(UNSEEN, OTHERS).batch(6))


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y, size, steps):
        super().__init__()
        self.x, self.y, self.size, self.steps = x, y, size, steps

    def __len__(self):
        return self.steps

    def __getitem__(self, batch):
        rows = slice(batch * self.size, (batch + 1) * self.size)
        return self.x[rows], self.y[rows]
'''


@pytest.fixture
def run(tensorflow, code_spec):
    """Runs two arms, each a return value written as an expression of the module above."""
    from equivcheck.pipeline import run_document

    def running(left, right, more=""):
        spec = code_spec("samples", f"{CODE}\n{more}", left, right)
        return run_document(load(spec), cache_dir=spec.parent, curves=False)

    return running


def said(report, *severities):
    assert not [skipped for skipped in report.skipped if "failed" in skipped.reason], report.skipped
    return [finding.code for finding in report.findings if finding.severity in (severities or ("error",))]


GENERATOR = """
def endless(x, y, size):
    start = 0
    while True:
        rows = np.arange(start, start + size) % len(x)
        start += size
        yield x[rows], y[rows]
"""

CLEAN = {
    "arrays": ("bottleneck()", "frozen()"),
    "tf.data in stored order": ("stored_order()", "dataset(pairs().batch(6))"),
    "a sequence in stored order": (
        "stored_order()",
        'frozen(Batches(IMAGES[MIXED], LABELS[MIXED], 6, 6), fit={"epochs": 2, "shuffle": False})',
    ),
    "steps that are all there are": ("stored_order()", "dataset(pairs().batch(6).repeat(), steps_per_epoch=6)"),
    "half precision": ('bottleneck(features(IMAGES).astype("float16").astype("float32"))', "frozen()"),
    "validation in another order": ("bottleneck()", "frozen(validation=(UNSEEN[::-1], OTHERS[::-1]))"),
    "validation that is shuffled and shown whole": (
        "bottleneck()",
        "frozen(validation=pairs(UNSEEN, OTHERS).shuffle(12).batch(6))",
    ),
    "validation in larger batches": ("bottleneck()", 'frozen(fit={**FIT, "validation_batch_size": 12})'),
    "no validation": ("bottleneck(validation=None)", "frozen(validation=None)"),
    "features of another shape": ("bottleneck(features(IMAGES)[:, None, None], validation=None)", "frozen()"),
}


@pytest.mark.parametrize("kind", CLEAN)
def test_clean(run, kind):
    left, right = CLEAN[kind]
    if kind == "features of another shape":
        left = left.replace("bottleneck(", "bottleneck_of_maps(")
    report = run(left, right, MAPS)
    assert said(report, "error", "warning") == []


#: Features that were flattened or unflattened before they were stored are the same features.
MAPS = """
def bottleneck_of_maps(x, **more):
    arm = bottleneck(x, **more)
    arm.model = compiled(keras.Input((1, 1, 6)), keras.layers.Flatten())
    return arm
"""

FAULTS = {
    "features from a shuffled pass, labels from the folders": (
        "EQ105",
        "bottleneck(features(IMAGES[MIXED]))",
        "frozen()",
    ),
    "features shifted by one": ("EQ105", "bottleneck(np.roll(features(IMAGES), 1, axis=0))", "frozen()"),
    "validation features shuffled": (
        "EQ105",
        "bottleneck(validation=(features(UNSEEN[::-1]), OTHERS))",
        "frozen()",
    ),
    "images in the order of the features, labels of another": (
        "EQ105",
        "bottleneck(images=IMAGES[MIXED])",
        "frozen()",
    ),
    "features of another backbone": ("EQ111", "bottleneck(features(IMAGES, backbone(seed=5)))", "frozen()"),
    "features of images prepared otherwise": ("EQ111", "bottleneck(features(IMAGES / 255))", "frozen()"),
    "features taken in training mode": ("EQ111", "bottleneck(features(IMAGES) + 0.1)", "frozen()"),
    "n // batch_size with tf.data": (
        "EQ102",
        "bottleneck(features(IMAGES[MIXED]), LABELS[MIXED], IMAGES[MIXED], fit=EIGHT)",
        "dataset(pairs().batch(8, drop_remainder=True))",
        'EIGHT = {"epochs": 2, "batch_size": 8, "shuffle": False}',
    ),
    "n // batch_size in a sequence": (
        "EQ102",
        "bottleneck(features(IMAGES[MIXED]), LABELS[MIXED], IMAGES[MIXED], fit=EIGHT)",
        'frozen(Batches(IMAGES[MIXED], LABELS[MIXED], 8, 36 // 8), fit={"epochs": 2, "shuffle": False})',
        'EIGHT = {"epochs": 2, "batch_size": 8, "shuffle": False}',
    ),
    "features of n // batch_size steps": (
        "EQ102",
        "bottleneck(features(IMAGES[MIXED][:32]), LABELS[MIXED][:32], IMAGES[MIXED][:32], fit=EIGHT)",
        "frozen((IMAGES[MIXED], LABELS[MIXED]), fit=EIGHT)",
        'EIGHT = {"epochs": 2, "batch_size": 8, "shuffle": False}',
    ),
    "a generator that wraps around": (
        "EQ101",
        "stored_order()",
        'frozen(endless(IMAGES[MIXED], LABELS[MIXED], 6), fit={"epochs": 2, "steps_per_epoch": 9})',
    ),
    "a shuffle in front of cache": (
        "EQ106",
        "maps(pairs(features(IMAGES[MIXED]), LABELS[MIXED]).shuffle(36, seed=3).batch(6))",
        "dataset(pairs().shuffle(36, seed=3).cache().batch(6))",
    ),
    "a buffer of four": (
        "EQ107",
        "bottleneck()",
        "dataset(pairs(IMAGES, LABELS).shuffle(4, seed=3).batch(6))",
    ),
    "validation on the training set": ("EQ108", "bottleneck()", "frozen(validation=(IMAGES, LABELS))"),
    "another random split": (
        "EQ108",
        "split(0, bottleneck=True)",
        "split(1)",
    ),
    "a validation generator that goes on": (
        "EQ109",
        "bottleneck()",
        'frozen(validation=endless(UNSEEN, OTHERS, 1), fit={**FIT, "validation_steps": 7})',
    ),
    "validation cut from a shuffled data set": (
        "EQ109",
        "bottleneck()",
        "frozen(validation=pairs(UNSEEN, OTHERS).shuffle(12, seed=0).take(6).batch(6))",
    ),
    "fewer validation steps": ("EQ110", "bottleneck()", 'frozen(fit={**FIT, "validation_steps": 1})'),
    "another validation set": (
        "EQ110",
        "bottleneck()",
        "frozen(validation=(UNLIKE, OTHERS))",
    ),
}

MORE = (
    GENERATOR
    + """
def maps(train):
    arm = bottleneck(validation=None)
    arm.train, arm.fit = train, {"epochs": 2}
    del arm.images
    return arm


def split(seed, bottleneck=False):
    rows = np.random.default_rng(seed).permutation(36)
    train, held = np.sort(rows[:27]), np.sort(rows[27:])
    if not bottleneck:
        return frozen((IMAGES[train], LABELS[train]), (IMAGES[held], LABELS[held]))
    return globals()["bottleneck"](
        None, LABELS[train], IMAGES[train], (features(IMAGES[held]), LABELS[held]), IMAGES[held]
    )
"""
)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_has_its_own_code_and_no_other(run, kind):
    code, left, right, *more = FAULTS[kind]
    report = run(left, right, MORE + "\n".join(more))
    assert said(report) == [code], report.findings
    assert report.findings[0].repair.text


def test_both_arms_validate_on_what_they_train_on(run):
    report = run(
        "bottleneck(validation=(features(IMAGES), LABELS), validation_images=IMAGES)",
        "frozen(validation=(IMAGES, LABELS))",
    )
    assert said(report, "error", "warning") == ["EQ108"]
    assert report.findings[0].severity == "warning"


def test_one_data_set_for_both_that_is_split_anew_in_every_epoch(run):
    """shuffle().take() and skip(): what is trained on in one epoch is validated on in the next."""
    report = run(
        "bottleneck()",
        "frozen(SAMPLES.skip(12).batch(6), SAMPLES.take(12).batch(6), {'epochs': 2})",
        "SAMPLES = pairs().shuffle(36, seed=1)",
    )
    assert "EQ108" in said(report)


def test_the_shift_is_told(run):
    report = run("bottleneck(np.roll(features(IMAGES), 1, axis=0))", "frozen()")
    assert "each 1 rows further on" in report.findings[0].message


def test_a_clean_order_that_repeats_in_both_arms_is_not_mentioned(run):
    report = run("bottleneck()", "frozen()")
    assert not {"EQ106", "EQ103"} & {cleared.code for cleared in report.cleared}


def test_validation_in_another_order_is_cleared(run):
    report = run("bottleneck()", "frozen(validation=(UNSEEN[::-1], OTHERS[::-1]))")
    assert [cleared.code for cleared in report.cleared] == ["EQ110"]


#: Features and labels are all that the first arm gives: samples are known by what the other network makes of them.
BLIND = """
def blind(x=None, y=LABELS, validation=..., known=True):
    arm = bottleneck(x, y, validation=validation)
    del arm.images, arm.validation_images
    if not known:
        del arm.backbone
    return arm


def through(*layers):
    arm = frozen()
    arm.model = compiled(keras.Input((8, 8, 3)), *layers, backbone())
    return arm


CONSTANT = np.ones((36, 6), "float32")
"""

RECOGNISED = {
    "clean": ("blind()", "frozen()", []),
    "clean, the backbone unknown": ("blind(known=False)", "frozen()", []),
    "clean, half precision": ('blind(features(IMAGES).astype("float16").astype("float32"))', "frozen()", []),
    "features from a shuffled pass": ("blind(features(IMAGES[MIXED]))", "frozen()", ["EQ105"]),
    "the same, the backbone unknown": ("blind(features(IMAGES[MIXED]), known=False)", "frozen()", ["EQ105"]),
    "the same, augmented in the other arm's model": (
        "blind(features(IMAGES[MIXED]))",
        "through(keras.layers.RandomContrast(0.5, seed=1))",
        ["EQ105", "EQ205"],
    ),
    "the same in validation": ("blind(validation=(features(UNSEEN[SWAPPED]), OTHERS))", "frozen()", ["EQ105"]),
    "classes numbered otherwise": (
        "blind(y=2 - LABELS, validation=(features(UNSEEN), 2 - OTHERS))",
        "frozen()",
        ["EQ303"],
    ),
    "features that are all alike": ("blind(CONSTANT, LABELS[MIXED])", "frozen()", []),
    "images prepared otherwise": ("blind(features(IMAGES[MIXED]))", "through(keras.layers.Rescaling(2.0))", []),
}


@pytest.mark.parametrize("kind", RECOGNISED)
def test_labels_of_samples_that_are_known_by_their_features(run, kind):
    left, right, codes = RECOGNISED[kind]
    report = run(left, right, f"{BLIND}\nSWAPPED = np.random.default_rng(4).permutation(12)")
    assert sorted({"EQ105", "EQ205", "EQ303"} & set(said(report))) == codes, report.findings
