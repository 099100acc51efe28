"""Shares of causes whose effect is known by construction, from real trainings of both arms.

Images of three colours, one a class, through a backbone that averages each colour: what a head can learn of them, and
what it cannot, follows from the labels alone.
"""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

CLASSES, EACH = 3, 8
SPEC = """\
version: 1
data:
  train: {npz: train.npz}
  validation: {npz: validation.npz}
  image_size: [4, 4]
backbone: {file: backbone.keras, cut: features}
preprocessing: {rescale: 0.00392156862745098}
head: [dense: {units: 3, activation: softmax, kernel_initializer: zeros}]
labels: sparse
training:
  loss: sparse_categorical_crossentropy
  optimizer: {name: adam, learning_rate: 0.05}
  epochs: 20
  batch_size: 8
  class_weight: {"0": 1.0, "1": 1.0, "2": 1.0}
"""
#: Of an untrained head whose scores are all equal the first class is the answer: a third is right.
UNTRAINED = -100 * (CLASSES - 1) / CLASSES
LOST = -100 / CLASSES

NOT_LEARNING = {"frozen.training.optimizer": {"name": "adam", "learning_rate": 0.0}}
LEARNING = {"frozen.training.optimizer": {"name": "adam", "learning_rate": 0.05}}
SPELT_OTHERWISE = {"frozen.labels": "one_hot", "frozen.training.loss": "categorical_crossentropy"}
SPELT_ALIKE = {"frozen.labels": "sparse", "frozen.training.loss": "sparse_categorical_crossentropy"}


def weights(*values, arm="frozen."):
    return {f"{arm}training.class_weight.{number}": float(value) for number, value in enumerate(values)}


#: What is declared; what repairs each cause; what each makes of the validation accuracy, in percentage points; and
#: what they make together beyond that.
TRUTHS = {
    "one makes the whole gap, one has no effect": (
        NOT_LEARNING | SPELT_OTHERWISE,
        {"EQ602": LEARNING, "EQ301": SPELT_ALIKE},
        {"EQ602": UNTRAINED, "EQ301": 0.0},
        {},
    ),
    # Either alone keeps the head from learning.
    "two that mask each other": (
        NOT_LEARNING | weights(0, 0, 0),
        {"EQ602": LEARNING, "EQ307": weights(1, 1, 1)},
        {"EQ602": UNTRAINED / 2, "EQ307": UNTRAINED / 2},
        {("EQ307", "EQ602"): -UNTRAINED},
    ),
    # 24 images are three batches of 8, or one of 16 and a tail; the tail holds the last class.
    "two that only act together": (
        {"frozen.training.batch_size": 16, "frozen.training.drop_remainder": True},
        {"EQ604": {"frozen.training.batch_size": 8}, "EQ102": {"frozen.training.drop_remainder": False}},
        {"EQ604": LOST / 2, "EQ102": LOST / 2},
        {("EQ102", "EQ604"): LOST},
    ),
    # The bottleneck arm never learns the last class; the frozen arm does, and loses the first.
    "one that helps": (
        weights(1, 1, 0, arm="") | weights(0, 1, 1),
        {"EQ307": {"frozen.training.class_weight.0": 1.0}, "EQ603": {"frozen.training.class_weight.2": 0.0}},
        {"EQ307": LOST, "EQ603": -LOST},
        {},
    ),
}


@pytest.fixture(scope="module")
def colours(tensorflow, tmp_path_factory):
    """The clean spec."""
    import keras

    from equivcheck.spec import load

    folder = tmp_path_factory.mktemp("colours")
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), EACH)
    for name in ("train", "validation"):
        images = random.integers(0, 40, (len(labels), 4, 4, 3), np.uint8)
        images[np.arange(len(labels)), :, :, labels] += 200
        np.savez(folder / f"{name}.npz", x=images, y=labels)
    keras.Sequential([keras.Input((4, 4, 3)), keras.layers.GlobalAveragePooling2D(name="features")]).save(
        folder / "backbone.keras"
    )
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    return load(folder / "spec.yaml")


def divided(document, repairs, repetitions=3):
    """The attribution of a spec whose causes are given, from real trainings."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.attribution import Replays, attribution, train_all, wanted
    from equivcheck.replay.counterfactuals import Counterfactuals
    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train
    from equivcheck.spec import resolve
    from equivcheck.trace.state import undisturbed

    rehearsals = Rehearsals()

    def train_arm(arm, _experiment):
        with undisturbed(arm.model):
            curves = train(arm, lambda *_: None, rehearsals=rehearsals).curves
        return lambda: curves

    experiment = resolve(document)
    samples = {"accuracy": CLASSES * EACH, "val_accuracy": CLASSES * EACH}
    replays = Replays(tuple(repairs), Counterfactuals(experiment, repairs, Builder(experiment), train_arm), samples)
    return attribution(replays, train_all(wanted(replays, *range(repetitions)), lambda: False))


@pytest.mark.parametrize("name", TRUTHS)
def test_known_effects(colours, name):
    broken, repairs, effects, together = TRUTHS[name]
    found = divided(colours.patched(broken), repairs)
    of_validation = next(curve for curve in found["curves"] if curve["metric"] == "val_accuracy")
    assert of_validation["shares"] == pytest.approx(effects, abs=1e-3)
    assert of_validation["residual"] == 0
    assert of_validation["gap"] == pytest.approx(sum(effects.values()), abs=1e-3)
    if found["metric"] == "val_accuracy":
        named = {tuple(each["codes"]): each["share"] for each in found["interactions"]}
        assert named == pytest.approx(together, abs=1e-3)


def test_known_effects_among_chance(colours):
    """Heads drawn at random, with dropout, that learn little: within two points, or within the interval."""
    head = [{"dropout": {"rate": 0.5}}, {"dense": {"units": 3, "activation": "softmax"}}]
    chancy = colours.patched({"head": head, "training.epochs": 6, **NOT_LEARNING, **SPELT_OTHERWISE})
    found = divided(chancy, {"EQ602": LEARNING, "EQ301": SPELT_ALIKE}, repetitions=5)
    shares = {share["code"]: share for share in found["shares"]}
    truth = {"EQ602": found["gap"], "EQ301": 0.0}
    assert found["residual"] == 0
    near = 2.0 if found["metric"].endswith("accuracy") else 0.02 * abs(found["gap"])
    assert abs(found["gap"]) > 5 * near  # there is something to divide
    for code, share in shares.items():
        assert share["low"] <= truth[code] <= share["high"] or abs(share["share"] - truth[code]) <= near


def test_a_counterfactual_that_reaches_nan_is_divided_by_what_is_left_of_it(colours):
    """Its losses are no numbers; its answer is the first class, of which a third is right."""
    exploding = {"frozen.training.optimizer": {"name": "sgd", "learning_rate": 1e39}}  # infinite in single precision
    repairs = {"EQ602": LEARNING, "EQ301": SPELT_ALIKE}
    found = divided(colours.patched(exploding | SPELT_OTHERWISE), repairs)
    assert {curve["metric"] for curve in found["curves"]} == {"accuracy", "val_accuracy"}
    of_validation = next(curve for curve in found["curves"] if curve["metric"] == "val_accuracy")
    assert of_validation["shares"] == pytest.approx({"EQ602": UNTRAINED, "EQ301": 0.0}, abs=1e-3)


def test_a_head_that_cannot_be_trained(colours, tmp_path):
    """Nothing of it could learn, in either arm: no gap, and no share of one."""
    from equivcheck.pipeline import run_document

    fixed = colours.patched({"head": [{"activation": {"activation": "softmax"}}], **SPELT_OTHERWISE})
    report = run_document(fixed, cache_dir=tmp_path)
    assert report.attribution is None
    assert {len(set(curve.values)) for curve in report.curves if curve.metric == "val_accuracy"} == {1}
