"""What arms from the user's own code answer after training, whatever their data come as."""

from __future__ import annotations

import pytest

from equivcheck.spec import load

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: Two classes that differ in brightness, so that a head learns them in a few steps.
CODE = """
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.permutation(96) % 2
IMAGES = RANDOM.normal(size=(96, 8, 8, 3)).astype("float32") + 2 * LABELS[:, None, None, None].astype("float32")
FIT = {"epochs": 10}


def backbone():
    keras.utils.set_random_seed(1)
    pool = keras.layers.GlobalAveragePooling2D()
    base = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(6, 3), pool])
    base.trainable = False
    return base


def head(kind):
    keras.utils.set_random_seed(2)
    last = keras.layers.Dense(2, "softmax")
    return {
        "plain": lambda: [last],
        "lagging": lambda: [keras.layers.BatchNormalization(momentum=0.9999), last],
        "dropping": lambda: [keras.layers.Dropout(0.8, seed=3), last],
        "dead": lambda: [keras.layers.Dense(8, "relu"), last],
    }[kind]()


def arm(model, x, rate=0.05, **more):
    model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    data = tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(8)
    return SimpleNamespace(model=model, train=data, validation=data, fit=FIT, **more)


def bottleneck(kind, rate=0.05):
    base = backbone()
    features = base.predict(IMAGES, batch_size=8, verbose=0)
    return arm(keras.Sequential([keras.Input((6,)), *head(kind)]), features, rate)


def frozen(kind, rate=0.05):
    inputs = keras.Input((8, 8, 3))
    x = backbone()(inputs)
    for layer in head(kind):
        x = layer(x)
    return arm(keras.Model(inputs, x), IMAGES, rate)


def plain_bottleneck(): return bottleneck("plain")
def plain_frozen(): return frozen("plain")
def lagging_bottleneck(): return bottleneck("lagging")
def lagging_frozen(): return frozen("lagging")
def dropping_bottleneck(): return bottleneck("dropping")
def dropping_frozen(): return frozen("dropping")
def dead_bottleneck(): return bottleneck("dead", rate=100.0)
def dead_frozen(): return frozen("dead", rate=100.0)
"""


@pytest.fixture(scope="module")
def run(tensorflow, tmp_path_factory):
    from equivcheck.pipeline import run_document

    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "evaluation_code.py").write_text(CODE, encoding="utf-8")

    def running(kind):
        spec = folder / f"{kind}.yaml"
        arms = ("bottleneck", "frozen")
        lines = [f'{arm}: {{callable: "evaluation_code:{kind}_{arm}"}}\n' for arm in arms]
        spec.write_text("version: 1\n" + "".join(lines), encoding="utf-8")
        return run_document(load(spec), cache_dir=folder)

    return running


def evaluation(said):
    return [found.code for found in said if found.code.startswith("EQ8")]


@pytest.mark.parametrize(
    ("kind", "findings", "cleared"),
    [
        ("plain", [], []),
        ("lagging", ["EQ801"], []),
        ("dropping", [], ["EQ801"]),
        ("dead", ["EQ802"], []),
    ],
)
def test_what_training_came_to(run, kind, findings, cleared):
    report = run(kind)
    assert evaluation(report.findings) == findings
    assert evaluation(report.cleared) == cleared
    assert [finding.code for finding in report.findings if finding.severity == "error"] == []
    assert report.verdict == "equivalent"
    assert {finding.arm for finding in report.findings} <= {"both"}
