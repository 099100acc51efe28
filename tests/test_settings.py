"""The side-by-side table: what each arm did, in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from equivcheck.diff.affine import known_modes
from equivcheck.evidence import (
    ArmEvidence,
    Evidence,
    InputTrace,
    LabelTrace,
    LayerTrace,
    OrderTrace,
    VariableTrace,
)
from equivcheck.measured import FirstDivergence, ParameterCount, TrainingFlag
from equivcheck.settings import settings_of

LABELS = np.repeat(np.arange(2), 20)


def order(*passes, labels=LABELS, batch=8):
    numbers = tuple(np.array(samples) for samples in passes)
    sizes = tuple(
        tuple(len(samples[start : start + batch]) for start in range(0, len(samples), batch)) for samples in numbers
    )
    return OrderTrace(numbers, tuple(labels[samples] for samples in numbers), sizes, available=len(labels))


def shuffled(seed):
    return np.random.default_rng(seed).permutation(len(LABELS))


def layer(path, **facts):
    defaults = {"kind": "Layer", "region": "backbone", "shape": (None, 4), "weights": (), "trainable": False}
    return LayerTrace(path=path, flag=TrainingFlag(), **{**defaults, **facts})


def statistic(path, change, region="backbone"):
    return VariableTrace(path, path, region, 4, trainable=False, statistic=True, change=change)


ARM = ArmEvidence(
    layers=(),
    variables=(),
    parameters=ParameterCount(trainable=1026, frozen=51344, moved=1026),
    train=order(shuffled(0), shuffled(1)),
    validation=order(np.arange(40)),
    input=None,
    labels=LabelTrace((None, 1), "int64", "sparse", "sparse_categorical_crossentropy", 2, None, {}, None),
    declared_inference=(),
    class_names=("cat", "dog"),
    optimizer={"name": "Adam", "learning_rate": 0.001, "beta_1": 0.9},
)


def table(frozen=ARM, bottleneck=ARM):
    evidence = Evidence(bottleneck, frozen, True, (), FirstDivergence(), None)  # noqa: FBT003
    return {setting.name: setting for setting in settings_of(evidence)}


def said(**changes):
    """What the frozen arm's column says of each thing."""
    return {name: setting.frozen for name, setting in table(replace(ARM, **changes)).items()}


def test_two_equal_arms_differ_in_nothing():
    rows = table()
    assert not any(setting.differs for setting in rows.values())
    assert (rows["what fit is given"].bottleneck, rows["what fit is given"].frozen) == ("stored features", "images")


def test_the_words():
    assert {name: setting.bottleneck for name, setting in table().items()} == {
        "what fit is given": "stored features",
        "training samples per epoch": "40",
        "order of training samples": "shuffled, another every epoch",
        "batch sizes": "8",
        "validation samples": "40",
        "input of the first kernel": "not known",
        "labels": "sparse, int64 (n, 1)",
        "classes": "cat, dog",
        "loss": "sparse_categorical_crossentropy",
        "optimizer": "Adam, learning rate 0.001",
        "trainable scalars": "1,026",
        "scalars moved by one step": "1,026",
        "stochastic layers in the backbone": "none",
        "layers on batch statistics": "none",
        "moving statistics changed by one step": "0",
    }


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (order(shuffled(0), shuffled(1)), "shuffled, another every epoch"),
        (order(shuffled(0), shuffled(0)), "shuffled, the same every epoch"),
        (order(shuffled(0)), "shuffled"),
        (order(np.arange(40), np.arange(40)), "sorted by class, the same every epoch"),
        (order(np.arange(40), np.arange(40)[::-1]), "sorted by class, another every epoch"),
        (order(np.arange(40), np.arange(40), labels=np.tile([0, 1], 20)), "as stored, the same every epoch"),
    ],
)
def test_orders(train, words):
    assert said(train=train)["order of training samples"] == words


def test_batch_sizes_are_listed_once_largest_first():
    assert said(train=order(np.arange(20), np.arange(20)))["batch sizes"] == "8, 4"


def test_no_validation():
    row = table(replace(ARM, validation=None))["validation samples"]
    assert (row.bottleneck, row.frozen, row.differs) == ("40", "none", True)


def test_the_input_is_named():
    tensor = np.array([[[[0.0, 0.5, 1.0]]]])
    known = known_modes(3)["1/255 to [0, 1]"]
    assert said(input=InputTrace("c", tensor, known, None))["input of the first kernel"] == "1/255 to [0, 1]"
    guess = said(input=InputTrace("c", tensor, None, None))["input of the first kernel"]
    assert guess == "values from 0 to 1, as 1/255 to [0, 1] gives"


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [({}, "none"), ({"name": "SGD"}, "SGD"), ({"name": "SGD", "learning_rate": {"class_name": "x"}}, "SGD")],
)
def test_optimizers(optimizer, words):
    """A learning-rate schedule is no number."""
    assert said(optimizer=optimizer)["optimizer"] == words


def test_layers_of_the_backbone_that_misbehave_are_named():
    layers = [layer(f"base/drop_{index}", stochastic=True) for index in range(5)]
    layers += [layer(f"base/bn_{index}", batch_gap=0.1) for index in range(2)]
    layers += [
        layer("wrapper", stochastic=True, batch_gap=0.1, composite=True),
        layer("head_dropout", stochastic=True, region="head"),
        layer("augmentation_random_flip", stochastic=True, region="augmentation"),
    ]
    words = said(layers=tuple(layers))
    assert words["stochastic layers in the backbone"] == "base/drop_0, base/drop_1, base/drop_2 and 2 more"
    assert words["layers on batch statistics"] == "2, from base/bn_0 on"
    assert said(layers=tuple(layers[:3]))["stochastic layers in the backbone"].endswith("base/drop_2")


def test_moving_statistics_of_the_backbone_are_counted():
    variables = (statistic("a", 0.1), statistic("b", 0.0), statistic("c", 0.2), statistic("d", 0.1, "head"))
    assert said(variables=variables)["moving statistics changed by one step"] == "2"


def test_what_differs_is_marked():
    rows = table(replace(ARM, class_names=("dog", "cat"), train=order(np.arange(40), np.arange(40))))
    assert {name for name, setting in rows.items() if setting.differs} == {"classes", "order of training samples"}
