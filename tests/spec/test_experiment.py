"""Resolved arms: merged, with absolute paths, compared, and located in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from equivcheck.spec import load, resolve
from equivcheck.spec.model import LayerCall

ARMS = """\
bottleneck:
  labels: sparse
  training: {loss: hinge}
frozen:
  training:
    loss: huber
    optimizer: {name: adam}
  preprocessing: {application: vgg16}
  head:
    - dense: {units: 3}
"""


def test_arms_are_merged(experiment, valid):
    found = experiment(valid + ARMS)
    assert (found.bottleneck.labels, found.frozen.labels) == ("sparse", "one_hot")
    assert (found.bottleneck.training.loss, found.frozen.training.loss) == ("hinge", "huber")
    assert found.bottleneck.training.optimizer.arguments == {"learning_rate": 0.1}
    assert found.frozen.training.optimizer.arguments == {}
    assert found.frozen.preprocessing.rescale is None
    assert found.frozen.preprocessing.offset == 0
    assert found.frozen.head == (LayerCall(name="dense", arguments={"units": 3}),)
    assert found.bottleneck.head[0] == LayerCall(name="flatten", arguments={})


def test_differences_are_the_keys_whose_resolved_values_differ(experiment, valid):
    assert experiment(valid + ARMS).differences == (
        "head",
        "preprocessing.rescale",
        "preprocessing.offset",
        "preprocessing.application",
        "labels",
        "training.optimizer.name",
        "training.optimizer.learning_rate",
        "training.loss",
    )


def test_a_key_repeated_with_the_same_value_is_no_difference(experiment, valid):
    assert experiment(valid + "frozen: {labels: one_hot, training: {seed: 0}}\n").differences == ()


@pytest.mark.parametrize(
    ("head", "differences"),
    [
        ("[flatten, {dense: {units: 3, activation: softmax}}]", ("head.1.dense.units",)),
        ("[flatten, {dense: {units: 2}}]", ("head.1.dense.activation",)),
        ("[flatten, softmax]", ("head.1",)),
        ("[softmax]", ("head",)),
    ],
)
def test_differences_between_heads_are_found_to_the_argument(experiment, valid, head, differences):
    assert experiment(valid + f"frozen: {{head: {head}}}\n").differences == differences


@pytest.mark.parametrize(
    ("arm", "key", "origin"),
    [
        ("frozen", "training.loss", "frozen.training.loss"),
        ("bottleneck", "training.loss", "bottleneck.training.loss"),
        ("both", "training.loss", "frozen.training.loss"),
        ("both", "labels", "bottleneck.labels"),
        ("both", "training.optimizer.learning_rate", "frozen.training.optimizer"),
        ("both", "data.image_size", "data.image_size"),
        ("frozen", "labels", "labels"),
        ("frozen", "training.epochs", "frozen.training"),
        ("frozen", "preprocessing.rescale", "frozen.preprocessing"),
        ("bottleneck", "preprocessing.rescale", "preprocessing.rescale"),
        ("frozen", "head.0.dense.units", "frozen.head.0.dense.units"),
        ("frozen", "head.1.dense.units", "frozen.head"),
        ("bottleneck", "head.1.dense.units", "head.1.dense.units"),
        ("frozen", "keras_semantics", "frozen"),
    ],
)
def test_a_key_of_an_arm_is_found_where_the_file_sets_it(experiment, valid, arm, key, origin):
    """The arm's own line before the shared one; never a shared line that does not hold for the arm."""
    found = experiment(valid + ARMS)
    assert found.origin(arm, key) == origin
    assert found.locate(arm, key) == found.document.locate(origin)


def test_a_patched_key_is_located_at_the_shared_line_that_it_overrides(document, valid):
    found = resolve(document(valid).patched({"frozen.training.loss": "hinge"}))
    assert found.frozen.training.loss == "hinge"
    assert found.locate("frozen", "training.loss").line == 16


def test_paths_resolve_against_the_folder_of_the_spec(tmp_path, monkeypatch, valid):
    """Wherever the command is run from; absolute ones stay, and ~ is the home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("sub").mkdir()
    text = valid.replace("images/validation", "/data/v").replace("weights: none", "weights: w.h5")
    Path("sub/spec.yaml").write_text(text + "observed: {frozen: ~/log.csv}\n", encoding="utf-8")
    found = resolve(load("sub/spec.yaml"))
    assert found.frozen.data.train.directory == tmp_path / "sub" / "images" / "train"
    assert found.frozen.data.validation.directory == Path("/data/v")
    assert found.frozen.backbone.weights == str(tmp_path / "sub" / "w.h5")
    assert found.observed.frozen == tmp_path / "home" / "log.csv"
    assert found.document.path == Path("sub/spec.yaml")


@pytest.mark.parametrize("word", ["imagenet", "none"])
def test_words_for_weights_are_no_paths(experiment, valid, word):
    assert experiment(valid.replace("weights: none", f"weights: {word}")).frozen.backbone.weights == word


def test_the_words_none_mean_nothing(experiment, valid):
    found = experiment(valid + "augmentation: none\nfrozen: {preprocessing: none}\n")
    assert found.frozen.preprocessing is None
    assert found.frozen.augmentation is None
    assert found.bottleneck.preprocessing.rescale == 0.5


@pytest.mark.parametrize(("written", "value"), [("true", True), ("false", False), ("{layers: ':-2'}", ":-2")])
def test_freeze_is_a_flag_or_a_slice(experiment, valid, written, value):
    freeze = experiment(valid.replace("weights: none", f"freeze: {written}")).frozen.backbone.freeze
    assert getattr(freeze, "layers", freeze) == value


@pytest.mark.parametrize(("written", "value"), [("fc1", "fc1"), ("-2", -2), ("'3'", "3")])
def test_the_cut_is_a_name_or_an_index(experiment, valid, written, value):
    assert experiment(valid.replace("weights: none", f"cut: {written}")).frozen.backbone.cut == value


def test_the_name_defaults_to_the_files(experiment, valid):
    assert experiment(valid).name == "tiny"
    assert experiment(valid.replace("name: tiny\n", "")).name == "spec"
