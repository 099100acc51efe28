"""A repair that a check could only point at becomes a patch of this spec."""

from __future__ import annotations

import pytest

from equivcheck.findings import AsTrained, SameAs
from equivcheck.repair import concrete
from equivcheck.spec import load, resolve

SHARED = """\
version: 1
data:
  train: {directory: train}
  validation: {directory: validation}
  image_size: [8, 8]
backbone:
  file: base.keras
  trained_with: {rescale: 0.5, offset: -1}
head:
  - dense: {units: 2}
training:
  loss: sparse_categorical_crossentropy
  optimizer: {name: sgd, learning_rate: 0.1}
"""


@pytest.fixture
def experiment(tmp_path):
    def of(arms="", shared=SHARED):
        (tmp_path / "spec.yaml").write_text(shared + arms, encoding="utf-8")
        return resolve(load(tmp_path / "spec.yaml"))

    return of


@pytest.fixture
def repaired(experiment):
    """The spec after its repair, for which the patch must be one that can be applied."""

    def of(patch, arms=""):
        before = experiment(arms)
        return resolve(before.document.patched(concrete(patch, before)))

    return of


def test_plain_values_stay(experiment):
    patch = {"frozen.backbone.call": "inference", "frozen.training.shuffle": False}
    assert concrete(patch, experiment()) == patch


def test_shared_keys_stay(experiment):
    assert concrete({"labels": "one_hot", "backbone.cut": None}, experiment()) == {
        "labels": "one_hot",
        "backbone.cut": None,
    }


def test_the_same_as_the_other_arm_has_it(experiment, repaired):
    arms = "bottleneck: {preprocessing: {rescale: 0.25}}\nfrozen: {preprocessing: {rescale: 0.5, offset: 3}}\n"
    patch = {"frozen.preprocessing": SameAs("bottleneck")}
    assert concrete(patch, experiment(arms)) == {"frozen.preprocessing": {"rescale": 0.25}}
    after = repaired(patch, arms)
    assert after.frozen.preprocessing == after.bottleneck.preprocessing


def test_the_same_as_the_shared_keys_say(experiment):
    arms = "frozen: {training: {optimizer: {learning_rate: 0.5}}}\n"
    patch = {"frozen.training.optimizer.learning_rate": SameAs("bottleneck")}
    assert concrete(patch, experiment(arms)) == {"frozen.training.optimizer.learning_rate": 0.1}


def test_the_same_as_a_default(experiment, repaired):
    """``shuffle`` is written nowhere but in the arm that is to be repaired."""
    arms = "frozen: {training: {shuffle: false, batch_size: 3}}\n"
    patch = {"frozen.training.shuffle": SameAs("bottleneck"), "frozen.training.batch_size": SameAs("bottleneck")}
    assert concrete(patch, experiment(arms)) == {"frozen.training.shuffle": True, "frozen.training.batch_size": 32}
    assert repaired(patch, arms).differences == ()


def test_a_line_goes_where_the_other_arm_has_none(experiment, repaired):
    arms = "frozen: {preprocessing: {rescale: 0.5}, keras_semantics: '2.1'}\n"
    patch = {"frozen.preprocessing": SameAs("bottleneck"), "frozen.keras_semantics": SameAs("bottleneck")}
    assert concrete(patch, experiment(arms)) == {"frozen.preprocessing": None, "frozen.keras_semantics": None}
    assert repaired(patch, arms).differences == ()


def test_what_changes_nothing_is_left_out(experiment):
    patch = {
        "frozen.training.shuffle": True,
        "frozen.backbone.cut": SameAs("bottleneck"),
        "bottleneck.labels": "sparse",
        "bottleneck.training.optimizer.learning_rate": 0.1,
        "frozen.training.epochs": 3,
    }
    assert concrete(patch, experiment()) == {"frozen.training.epochs": 3}
    assert concrete({"frozen.training.shuffle": True}, experiment()) is None


def test_preprocessing_as_the_weights_were_trained(experiment, repaired):
    patch = {"frozen.preprocessing": AsTrained()}
    assert concrete(patch, experiment()) == {"frozen.preprocessing": {"rescale": 0.5, "offset": -1.0}}
    assert repaired(patch).frozen.preprocessing == repaired(patch).frozen.backbone.trained_with


def test_as_trained_already(experiment):
    arms = "frozen: {preprocessing: {rescale: 0.5, offset: -1}}\n"
    assert concrete({"frozen.preprocessing": AsTrained()}, experiment(arms)) is None


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("application", "module"),
    [("ResNet50", "resnet"), ("VGG16", "vgg16"), ("MobileNetV3Small", "mobilenet_v3"), ("DenseNet201", "densenet")],
)
def test_as_an_application_was_trained(experiment, tensorflow, application, module):
    shared = SHARED.replace("file: base.keras", f"application: {application}").replace(
        "  trained_with: {rescale: 0.5, offset: -1}\n", ""
    )
    patch = {"bottleneck.preprocessing": AsTrained()}
    assert concrete(patch, experiment(shared=shared)) == {"bottleneck.preprocessing": {"application": module}}


@pytest.mark.parametrize("patch", [{"frozen.preprocessing": SameAs("bottleneck")}, {"frozen.labels": "sparse"}])
def test_an_arm_from_code_cannot_be_patched(experiment, patch):
    assert concrete(patch, experiment("frozen: {callable: 'mine:arm'}\n")) is None


def test_nothing_can_be_taken_over_from_code(experiment):
    both = {"frozen.preprocessing": SameAs("bottleneck"), "frozen.training.shuffle": False}
    assert concrete(both, experiment("bottleneck: {callable: 'mine:arm'}\n")) is None


def test_the_other_arm_can_be_patched_beside_code(experiment):
    patch = {"frozen.training.shuffle": False}
    assert concrete(patch, experiment("bottleneck: {callable: 'mine:arm'}\n")) == patch


def test_neither_patch_nor_spec_is_changed(experiment):
    before = experiment("bottleneck: {preprocessing: {rescale: 0.25}}\n")
    data, patch = repr(before.merged), {"frozen.preprocessing": SameAs("bottleneck")}
    found = concrete(patch, before)
    found["frozen.preprocessing"]["rescale"] = 99
    assert patch == {"frozen.preprocessing": SameAs("bottleneck")}
    assert repr(before.merged) == data
