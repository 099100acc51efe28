"""How the keys of an arm override the shared ones."""

from __future__ import annotations

import pytest

from equivcheck.spec.merge import merge


@pytest.mark.parametrize(
    ("shared", "section", "merged"),
    [
        ({"training": {"loss": "a", "seed": 1}}, {"training": {"loss": "b"}}, {"training": {"loss": "b", "seed": 1}}),
        ({"head": ["a", "b"]}, {"head": ["c"]}, {"head": ["c"]}),
        ({"labels": "a"}, {"labels": None}, {}),
        ({"preprocessing": {"rescale": 1}}, {"preprocessing": "none"}, {"preprocessing": "none"}),
        ({"preprocessing": "none"}, {"preprocessing": {"rescale": 1}}, {"preprocessing": {"rescale": 1}}),
        (
            {"preprocessing": {"rescale": 1, "offset": 2}},
            {"preprocessing": {"application": "vgg16"}},
            {"preprocessing": {"application": "vgg16"}},
        ),
        (
            {"preprocessing": {"rescale": 1, "offset": 2}},
            {"preprocessing": {"rescale": 3}},
            {"preprocessing": {"rescale": 3, "offset": 2}},
        ),
        (
            {"data": {"train": {"npz": "a", "image": "x", "classes": ["a"]}, "channels": 1}},
            {"data": {"train": {"csv": "b"}}},
            {"data": {"train": {"csv": "b", "classes": ["a"]}, "channels": 1}},
        ),
        (
            {"backbone": {"application": "VGG16", "weights": "none", "cut": "fc1"}},
            {"backbone": {"file": "x.keras"}},
            {"backbone": {"file": "x.keras", "cut": "fc1"}},
        ),
        (
            {"backbone": {"application": "VGG16", "weights": "none"}},
            {"backbone": {"application": "VGG19"}},
            {"backbone": {"application": "VGG19", "weights": "none"}},
        ),
        (
            {"training": {"optimizer": {"name": "sgd", "momentum": 0.9}}},
            {"training": {"optimizer": {"name": "adam"}}},
            {"training": {"optimizer": {"name": "adam"}}},
        ),
        (
            {"training": {"optimizer": {"rho": 0.9}}},
            {"training": {"optimizer": {"name": "rmsprop", "momentum": 0.1}}},
            {"training": {"optimizer": {"rho": 0.9, "name": "rmsprop", "momentum": 0.1}}},
        ),
        (
            {"training": {"optimizer": {"learning_rate": {"class_name": "A", "config": {"x": 1}}}}},
            {"training": {"optimizer": {"learning_rate": {"class_name": "B"}}}},
            {"training": {"optimizer": {"learning_rate": {"class_name": "B"}}}},
        ),
        ({}, {"training": {"loss": None, "seed": 1}}, {"training": {"seed": 1}}),
    ],
)
def test_merge(shared, section, merged):
    assert merge(shared, section).data == merged


def test_what_was_dropped_no_longer_holds():
    merged = merge(
        {"preprocessing": {"rescale": 1}, "head": ["a", "b"], "labels": "x"},
        {"preprocessing": {"application": "vgg16"}, "head": ["c"]},
    )
    assert not merged.holds("preprocessing.rescale")
    assert not merged.holds("head.1.dense")
    assert merged.holds("preprocessing")
    assert merged.holds("labels")
