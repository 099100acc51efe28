"""Arms from the user's own code, where nothing is declared: everything has to be measured."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import pytest

from equivcheck.measured import curves_equal
from equivcheck.spec import load

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

FIXTURES = Path(__file__).parents[2] / "fixtures"
_NUMBERS = itertools.count()

#: What every module of these tests begins with.
PRELUDE = '''
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf


def compiled(model):
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def dense(units):
    """The same head whatever was built before it."""
    keras.utils.set_random_seed(7)
    return keras.layers.Dense(units, activation="softmax", name="probabilities")
'''

#: A small backbone on noise, with batch normalisation and, behind the cut, dropout.
SMALL = (
    PRELUDE
    + '''
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(20, 8, 8, 3)).astype("float32")
LABELS = RANDOM.permutation(20)[:, None] % 3
UNSEEN = RANDOM.normal(size=(6, 8, 8, 3)).astype("float32")
FIT = {"epochs": 2, "batch_size": 8}


def backbone(dropout=False):
    keras.utils.set_random_seed(1)
    layers = [
        keras.Input((8, 8, 3)),
        keras.layers.Conv2D(6, 3, activation="relu", name="conv"),
        keras.layers.BatchNormalization(name="bn"),
        keras.layers.GlobalAveragePooling2D(name="pool"),
    ]
    if dropout:
        layers.append(keras.layers.Dropout(0.5, name="drop"))
    base = keras.Sequential(layers, name="base")
    base.trainable = False
    return base


def bottleneck(dropout=False):
    base = backbone(dropout)
    features = base.predict(IMAGES, batch_size=8, verbose=0)
    head = compiled(keras.Sequential([keras.Input((6,)), dense(3)], name="head"))
    return SimpleNamespace(
        model=head,
        train=(features, LABELS),
        validation=(base.predict(UNSEEN, batch_size=8, verbose=0), LABELS[:6]),
        fit=FIT,
        backbone=base,
        images=IMAGES,
    )


def bottleneck_behind_dropout():
    return bottleneck(dropout=True)


def features_only():
    arm = bottleneck()
    del arm.backbone, arm.images
    return arm


def frozen(model, train=(IMAGES, LABELS), fit=FIT):
    return SimpleNamespace(model=compiled(model), train=train, validation=(UNSEEN, LABELS[:6]), fit=fit)


def nested():
    inputs = keras.Input((8, 8, 3))
    return frozen(keras.Model(inputs, dense(3)(backbone()(inputs))))


def flat():
    base = backbone()
    return frozen(keras.Model(base.inputs, dense(3)(base.outputs[0])))


def flat_with_dropout():
    base = backbone(dropout=True)
    return frozen(keras.Model(base.inputs, dense(3)(base.outputs[0])))


class EndToEnd(keras.Model):
    def __init__(self, inference=True):
        super().__init__(name="end_to_end")
        self.base, self.inference = backbone(dropout=True), inference
        self.head = dense(3)

    def call(self, inputs, training=None):
        return self.head(self.base(inputs, training=False if self.inference else training))


def subclassed():
    return frozen(EndToEnd())


def subclassed_with_dropout():
    return frozen(EndToEnd(inference=False))


def dataset():
    made = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).shuffle(20, seed=3).batch(8)
    inputs = keras.Input((8, 8, 3))
    return frozen(keras.Model(inputs, dense(3)(backbone()(inputs))), made, {"epochs": 2})


class Shuffling(keras.utils.PyDataset):
    """Shuffles itself after every epoch, as many hand-written sequences do."""

    def __init__(self):
        super().__init__()
        self.random, self.order = np.random.default_rng(0), np.arange(20)

    def __len__(self):
        return 3

    def __getitem__(self, batch):
        rows = self.order[batch * 8 : batch * 8 + 8]
        return IMAGES[rows], LABELS[rows]

    def on_epoch_end(self):
        self.random.shuffle(self.order)


def sequence():
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, dense(3)(backbone()(inputs)))
    return frozen(model, Shuffling(), {"epochs": 2, "shuffle": False})
'''
)

#: The fixture's digits and backbone, read the way people read them.
DIGITS = (
    PRELUDE
    + f"""
FIXTURES = Path({str(FIXTURES)!r})
"""
    + '''
def folder(split):
    return keras.utils.image_dataset_from_directory(
        FIXTURES / "digits" / "target" / split, image_size=(32, 32), batch_size=8, shuffle=False, verbose=False
    )


def base(cut):
    network = keras.models.load_model(FIXTURES / "backbones" / "inception_small.keras", compile=False)
    made = keras.Model(network.input, network.get_layer(cut).output, name="base")
    made.trainable = False
    return made


def bottleneck():
    network = base("flatten")
    images, labels = (np.concatenate(parts) for parts in zip(*folder("train"), strict=True))
    images = images / 127.5 - 1
    features = network.predict(images, batch_size=8, verbose=0)
    head = compiled(keras.Sequential([keras.Input((192,)), dense(5)], name="head"))
    return SimpleNamespace(
        model=head,
        train=(features, labels),
        validation=None,
        fit={"epochs": 1, "batch_size": 8, "shuffle": True},
        backbone=network,
        images=images,
    )


def guide():
    """The official transfer-learning guide's recipe, on an unshuffled folder in [0, 1]."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    outputs = dense(5)(base("flatten")(x, training=False))
    return SimpleNamespace(model=compiled(keras.Model(inputs, outputs)), train=folder("train"), validation=None, fit={})
'''
)


@pytest.fixture(scope="module")
def run(tensorflow, tmp_path_factory):
    """Writes a module and a spec that names two of its functions, and runs it."""
    from equivcheck.pipeline import run_document

    folder = tmp_path_factory.mktemp("user")

    def running(code, bottleneck, frozen, *, curves=True):
        module = f"user_code_{next(_NUMBERS)}"
        (folder / f"{module}.py").write_text(code, encoding="utf-8")
        spec = folder / f"{module}.yaml"
        spec.write_text(
            f'version: 1\nbottleneck: {{callable: "{module}:{bottleneck}"}}\n'
            f'frozen: {{callable: "{module}:{frozen}"}}\n',
            encoding="utf-8",
        )
        return run_document(load(spec), cache_dir=folder, curves=curves)

    return running


def errors(report):
    return [finding.code for finding in report.findings if finding.severity == "error"]


def test_the_guides_recipe_on_an_unshuffled_folder(run):
    """Three causes and no word of any: they are found and explained, and what is sure on a live arm is tried."""
    report = run(DIGITS, "bottleneck", "guide", curves=False)
    assert sorted(errors(report)) == ["EQ104", "EQ201", "EQ406"]
    found = {finding.code: finding for finding in report.findings}
    assert found["EQ406"].location.layer == "base/dropout"
    assert found["EQ104"].measured["runs_of_one_class"] == 5
    assert found["EQ104"].measured["samples"] == 120
    assert found["EQ201"].measured["scale_per_channel"] == pytest.approx([0.5] * 3, rel=1e-4)
    for finding in report.findings:
        assert finding.repair.text
        assert finding.repair.patch is None
    assert {code: finding.verified for code, finding in found.items()} == {"EQ104": None, "EQ201": None, "EQ406": True}
    assert next(skipped.reason for skipped in report.skipped if skipped.code == "EQ401") == "a consequence of EQ406"


@pytest.mark.parametrize("frozen", ["nested", "flat", "subclassed"])
def test_a_clean_pair_is_bit_equal(run, frozen):
    """However the frozen arm is written; the subclassed one keeps the dropout off by a flag inside its call."""
    report = run(SMALL, "bottleneck", frozen)
    assert report.findings == ()
    assert report.verdict == "equivalent"
    assert len(report.curves) == 8
    assert curves_equal(report.curves, "bottleneck", "frozen")


@pytest.mark.parametrize(
    ("bottleneck", "frozen", "layer"),
    [
        ("bottleneck_behind_dropout", "flat_with_dropout", "drop"),
        # The bottleneck arm has no such layer; here it lies inside the backbone all the same.
        ("bottleneck", "subclassed_with_dropout", "base/drop"),
    ],
)
def test_dropout_is_found_in_flat_and_in_subclassed_models(run, bottleneck, frozen, layer):
    report = run(SMALL, bottleneck, frozen, curves=False)
    assert errors(report) == ["EQ401"]
    assert report.findings[0].location.layer == layer


def test_features_without_their_backbone_can_still_be_compared_to_some_extent(run):
    """The samples cannot be told apart then, so nothing is compared; nothing is made up either."""
    report = run(SMALL, "features_only", "nested")
    assert report.findings == ()
    assert report.verdict == "equivalent"
    assert report.first_divergence.training is None
    assert {row.role for row in report.layers} <= {None, "unaligned"}
    assert {row.training for row in report.layers} == {None}


def test_features_without_their_backbone_do_not_hide_dropout(run):
    """What the frozen arm does by itself needs no partner."""
    report = run(SMALL, "features_only", "flat_with_dropout", curves=False)
    assert errors(report) == ["EQ401"]


@pytest.mark.parametrize("frozen", ["dataset", "sequence"])
def test_a_measured_arm_trains_on_the_order_it_would_have_had(run, frozen):
    """Recording walks two epochs of data that shuffles itself; the training starts at the first all the same."""
    import keras

    report = run(SMALL, "bottleneck", frozen)
    assert errors(report) == ["EQ103"]
    namespace = {}
    exec(SMALL, namespace)  # noqa: S102  (the module of this very test)
    keras.utils.set_random_seed(0)
    arm = namespace[frozen]()
    keras.utils.set_random_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = arm.model.fit(arm.train, validation_data=arm.validation, verbose=0, **arm.fit).history
    found = {curve.metric: list(curve.values) for curve in report.curves if curve.arm == "frozen"}
    assert found == history
