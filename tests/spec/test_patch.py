"""Spec patches."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from equivcheck.errors import InputError
from equivcheck.spec import apply_patch, dump_patch
from equivcheck.spec.reading import read_yaml

DATA = {"head": [{"dense": {"units": 2}}, "flatten"], "preprocessing": "none", "training": {"loss": "hinge", "seed": 1}}


@pytest.mark.parametrize(
    ("patch", "key", "value"),
    [
        ({"training.loss": "huber"}, "training", {"loss": "huber", "seed": 1}),
        ({"training.seed": None}, "training", {"loss": "hinge"}),
        ({"training": None}, "training", None),
        ({"training": {"loss": "huber"}}, "training", {"loss": "huber"}),
        ({"frozen.training.shuffle": False}, "frozen", {"training": {"shuffle": False}}),
        ({"frozen.training.shuffle": None}, "frozen", None),
        ({"preprocessing.rescale": 0.5}, "preprocessing", {"rescale": 0.5}),
        ({"head.0.dense.units": 4}, "head", [{"dense": {"units": 4}}, "flatten"]),
        ({"head.1.dropout.rate": 0.5}, "head", [{"dense": {"units": 2}}, {"dropout": {"rate": 0.5}}]),
        ({"head.2": "softmax"}, "head", [{"dense": {"units": 2}}, "flatten", "softmax"]),
        ({"head.0": None}, "head", ["flatten"]),
        ({"head.0": None, "head.1": "softmax"}, "head", ["flatten", "softmax"]),
    ],
)
def test_apply(patch, key, value):
    assert apply_patch(DATA, patch).get(key) == value


def test_apply_changes_nothing_it_was_given():
    layers = [{"dense": {"units": 2}}]
    data = {"head": layers}
    patched = apply_patch(data, {"head.0.dense.units": 4, "augmentation": layers})
    patched["augmentation"][0]["dense"]["units"] = 9
    assert data == {"head": [{"dense": {"units": 2}}]}


@pytest.mark.parametrize("key", ["head.7", "head.2.dense.units", "head.first", "head.-1"])
def test_an_item_that_is_not_there_is_an_error(key):
    with pytest.raises(InputError, match=f"^patch {key}: .* is no item of a list of 2, counted from 0$"):
        apply_patch(DATA, {key: "softmax"})


def test_dump_is_yaml_that_can_be_pasted():
    patch = {"frozen.training.shuffle": False, "frozen.preprocessing": {"rescale": 0.5}, "labels": "no"}
    text = dump_patch(patch)
    assert text == "frozen:\n  training: {shuffle: false}\n  preprocessing: {rescale: 0.5}\nlabels: no\n"
    assert read_yaml(text).data == apply_patch({}, patch) == YAML(typ="safe").load(text)


def test_dump_says_in_words_what_cannot_be_pasted():
    assert dump_patch({"frozen.backbone.call": None, "head.0.dense.units": 4}) == (
        "# remove frozen.backbone.call\n# change head.0.dense.units to 4\n"
    )
