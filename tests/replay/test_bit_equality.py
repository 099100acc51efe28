"""With no declared difference the two arms train to the last bit alike: every loss, accuracy and final weight."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from equivcheck.spec import load, resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

DIGITS = {"csv": "../digits/target/train_short.csv"}  # 100 images
DOCUMENT = load(Path(__file__).parents[2] / "fixtures" / "clean" / "spec.yaml").patched(
    {"training.epochs": 2, "data.train": DIGITS, "data.validation": {"csv": "../digits/target/validation_mixed.csv"}}
)
BACKBONES = {
    "inception": {},
    "vgg": {
        "backbone.file": "../backbones/vgg_small.keras",
        "backbone.cut": "flatten",
        "backbone.trained_with": {"rescale": 1 / 255},
        "preprocessing": {"rescale": 1 / 255},
    },
    # Behind the backbone's dropout: only where nothing can switch it on are the arms the same.
    "inception-dropout": {"backbone.cut": "flatten"},
}
HEADS = {
    "dense": {},
    "deep": {
        "head": [
            {"dropout": {"rate": 0.3}},
            {"dense": {"units": 16, "activation": "relu"}},
            {"dropout": {"rate": 0.5}},
            {"dense": {"units": 5, "activation": "softmax"}},
        ]
    },
}
LABELS = {
    "sparse": {},
    "one_hot": {"labels": "one_hot", "training.loss": "categorical_crossentropy"},
    # Another spelling in one arm: cleared as harmless, so it must be.
    "both": {"frozen.labels": "one_hot", "frozen.training": {"loss": "categorical_crossentropy"}},
}
OPTIMIZERS = {
    "adam": {},
    "rmsprop": {"training.optimizer": {"name": "rmsprop", "learning_rate": 0.01}},
    "sgd": {"training.optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9}},
}

#: Every value of each factor at least once (momentum with the inference call): there are more below.
CHOSEN = [
    # backbone, call, batch size, shuffled, head, labels, optimizer
    ("inception", "nested", 8, True, "deep", "sparse", "adam"),  # 100 = 12 x 8 + 4
    ("inception", "flat", 9, True, "dense", "both", "rmsprop"),  # a last batch of one
    ("inception-dropout", "inference", 20, True, "deep", "one_hot", "sgd"),
    ("vgg", "training_false", 25, False, "deep", "one_hot", "adam"),  # a divisor
]
#: A seventh of the product: seven shares no factor with it, so every pair of values occurs.
MORE = [
    case
    for case in product(BACKBONES, ("nested", "flat", "inference"), (1, 8), (True, False), HEADS, LABELS, OPTIMIZERS)
    if (case[0] == "inception-dropout") <= (case[1] == "inference")
][::7]


@pytest.fixture(scope="module")
def both_trained(tensorflow):
    """Trains both arms of a case; networks and images are read once."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.training import train

    shared = Builder(resolve(DOCUMENT))

    def run(backbone, call, batch_size, shuffle, head, labels, optimizer):
        patch = {
            **BACKBONES[backbone],
            "frozen.backbone.call": call,
            "training.batch_size": batch_size,
            "training.shuffle": shuffle,
            **HEADS[head],
            **LABELS[labels],
            **OPTIMIZERS[optimizer],
        }
        document = DOCUMENT
        for key, value in patch.items():
            document = document.patched({key: value})
        builder = Builder(resolve(document), stock=shared.stock, loaded=shared.loaded)
        head, network = map(builder.build, ("bottleneck", "frozen"))
        trained = train(head, lambda *_: None)
        if rounds_by_place(head, batch_size):
            return (head, trained), (network, on_features_of(head, network))
        return (head, trained), (network, train(network, lambda *_: None))

    return run


def rounds_by_place(arm, batch_size):
    """Whether this processor rounds a sample's features by its place in the batch, as some with AVX2 do."""
    images = arm.train.images
    given, turned = (arm.extractor.predict(some, batch_size=batch_size, verbose=0) for some in (images, images[::-1]))
    assert np.abs(given - turned[::-1]).max() <= 1e-6 * np.abs(given).max()  # rounding, and nothing else
    return not np.array_equal(given, turned[::-1])


def on_features_of(head, network):
    """The frozen arm trained on the features that the other one has stored."""
    from equivcheck.measured import Curve
    from equivcheck.replay.eligible import build
    from equivcheck.replay.rehearse import Rehearsals, prepare
    from equivcheck.replay.training import Training

    build(network)
    stored = [split.feed.x for split in (head.train, head.validation)]
    done = prepare(network, evidence=None, rehearsals=Rehearsals(), stored=stored).run(lambda *_: None)
    assert done.moved <= 1e-6
    curves = tuple(Curve("frozen", name, values) for name, values in done.curves.items())
    return Training(curves, tuple(np.array(weight) for weight in network.model.trainable_variables))


def assert_equal_to_the_last_bit(bottleneck, frozen):
    (head, ours), (network, theirs) = bottleneck, frozen
    one, other = ({curve.metric: curve.values for curve in training.curves} for training in (ours, theirs))
    assert set(one) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert one == other
    assert len(ours.weights) == len(theirs.weights) == len(network.model.trainable_variables) > 0
    for mine, yours in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(mine, yours)
    # The trained weights themselves, not a copy made before training.
    for kept, live in zip(ours.weights, head.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(kept, live.numpy())
    assert one["loss"][-1] < one["loss"][0]


@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: "-".join(map(str, case)))
def test_equal_to_the_last_bit(both_trained, case):
    assert_equal_to_the_last_bit(*both_trained(*case))


@pytest.mark.slow
@pytest.mark.parametrize("case", MORE, ids=lambda case: "-".join(map(str, case)))
def test_equal_to_the_last_bit_in_many_more_ways(both_trained, case):
    assert_equal_to_the_last_bit(*both_trained(*case))


def test_features_of_one_image_do_not_depend_on_its_batch(tensorflow):
    """What the positive control rests on: from two images up, a sample's features are the same, but for rounding."""
    from equivcheck.arms.build import Builder

    arm = Builder(resolve(DOCUMENT)).build("bottleneck")
    images = arm.train.images[:24]
    features = arm.extractor.predict(images, batch_size=24, verbose=0)
    rounded = rounds_by_place(arm, 8)
    for batch_size in (2, 3, 8):
        again = arm.extractor.predict(images, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(again, features, rtol=0, atol=1e-6 * np.abs(features).max() if rounded else 0)
