"""What a phase freezes and unfreezes in a live model, and what it is compiled with."""

from __future__ import annotations

import pytest

from equivcheck.errors import SpecError
from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def arm(tiny):
    """The frozen arm before one of the phases."""
    from equivcheck.arms.build import Builder

    def built(phases, phase, name="frozen", **patch):
        document = tiny.patched({"training.phases": phases, **patch})
        return Builder(resolve(document)).build_in_phase(name, phase, lambda _arm: None)

    return built


def trained(model):
    return {variable.path.split("/")[-2] for variable in model.trainable_variables}


@pytest.mark.parametrize("call", ["nested", "flat", "training_false", "inference"])
@pytest.mark.parametrize(
    ("tuned", "expected"),
    [
        ({}, set()),
        ({"unfreeze": False}, set()),
        ({"unfreeze": True}, {"conv", "bn"}),
        ({"unfreeze": True, "unfreeze_batchnorm": False}, {"conv"}),
        ({"unfreeze": {"layers": "-3:", "of": "backbone"}}, {"bn"}),
        ({"unfreeze": {"layers": "-3:", "of": "backbone"}, "unfreeze_batchnorm": False}, set()),
    ],
)
def test_what_is_trained_from_a_phase_on(arm, call, tuned, expected):
    phases = {"head": {}, "tuned": tuned}
    cut = {"backbone.cut": "dropout", "backbone.call": call}  # conv, bn, features, dropout
    assert trained(arm(phases, "head", **cut).model) == {"head_dense"}
    assert trained(arm(phases, "tuned", **cut).model) == {"head_dense", *expected}


def test_a_slice_of_the_model_takes_a_nested_backbone_whole(arm):
    assert trained(arm({"head": {}, "tuned": {"unfreeze": {"layers": "1:2"}}}, "tuned").model) == {
        "head_dense",
        "conv",
        "bn",
    }


def test_what_was_unfrozen_stays_so_until_it_is_frozen(arm):
    phases = {"head": {}, "tuned": {"unfreeze": True}, "more": {}, "last": {"freeze": True}}
    assert trained(arm(phases, "more").model) == {"head_dense", "conv", "bn"}
    assert trained(arm(phases, "last").model) == {"head_dense"}


def test_the_bottleneck_arm_trains_its_head_whatever_is_unfrozen(arm):
    before = arm({"head": {}, "tuned": {"unfreeze": True, "epochs": 7}}, "tuned", "bottleneck")
    assert trained(before.model) == {"head_dense"}
    assert before.fit["epochs"] == 7


def test_each_phase_is_compiled_with_its_own(arm):
    phases = {"head": {}, "tuned": {"optimizer": {"name": "sgd", "learning_rate": 0.25}, "epochs": 3}}
    tuned = arm(phases, "tuned")
    assert type(tuned.model.optimizer).__name__ == "SGD"
    assert float(tuned.model.optimizer.learning_rate) == 0.25
    assert tuned.fit["epochs"] == 3
    assert tuned.phase == "tuned"


def test_without_a_compile_the_optimizer_stays(arm):
    tuned = arm({"head": {}, "tuned": {"recompile": False}}, "tuned")
    assert type(tuned.model.optimizer).__name__ == "RMSprop"


def test_a_phase_that_an_arm_lacks_is_lent_by_the_other(arm):
    patch = {"frozen.training.phases": {"head": {}, "tuned": {"optimizer": {"name": "sgd"}, "epochs": 4}}}
    lent = arm({"head": {}}, "tuned", "bottleneck", **patch)
    assert type(lent.model.optimizer).__name__ == "SGD"
    assert lent.fit["epochs"] == 4


def test_an_empty_slice_is_refused_at_its_line(arm):
    with pytest.raises(SpecError, match=r"phases.tuned.unfreeze: layers 15: are none of the 3 layers of the model"):
        arm({"head": {}, "tuned": {"unfreeze": {"layers": "15:"}}}, "tuned")
