"""Where a network is cut is tried once for all networks of the same layers; each then has its own layers."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

PATCHES = {
    "plain": {},
    "dropout in the backbone": {"backbone.cut": "dropout"},
    "statistics that move": {"keras_semantics": "2.1"},
    "both": {"keras_semantics": "2.1", "backbone.cut": "dropout"},
    "nothing frozen": {"backbone.freeze": False},
    "noise": {"frozen.augmentation": [{"gaussian_noise": {"stddev": 0.5}}]},
}


@pytest.fixture
def built(tiny):
    """An arm of the tiny spec with patches, ready for its training."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.eligible import build

    def make(*patches, name="frozen"):
        document = tiny
        for patch in patches:
            document = document.patched(patch)
        arm = Builder(resolve(document)).build(name)
        build(arm)
        return arm

    return make


@pytest.fixture
def cut(monkeypatch):
    """Cuts an arm, and says how many passes that took."""
    from equivcheck.replay import cut as module
    from equivcheck.replay.tables import tables_of

    passes, plain = [], module.run_through
    monkeypatch.setattr(module, "run_through", lambda *args, **kwargs: passes.append(1) or plain(*args, **kwargs))

    def found(arm, cuts):
        passes.clear()
        return module.cut_of(arm, tables_of(arm), cuts), len(passes)

    return found


def told(cut, arm):
    """All that a cut says, with layers and variables by their paths."""
    paths = {id(variable): variable.path for variable in arm.model.variables}

    def calls(run):
        return [(call.path, call.layer.name, call.flag, len(call.inputs)) for call in run.calls]

    def frontier(prefix):
        return prefix and (prefix.found.path, prefix.found.shape, sorted(prefix.found.skipped), calls(prefix.found))

    return {
        "fit": calls(cut.fit),
        "moved": sorted(paths[each] for each in cut.fit.moved),
        "frontiers": [frontier(cut.prefix), frontier(cut.calm)],
        "fixed": [variable.path for variable in cut.fixed],
        "rest": (cut.unseen, cut.made, cut.why, cut.again),
    }


@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
def test_a_network_of_the_same_layers_is_cut_as_it_would_be_by_itself(built, cut, patch):
    """It has other weights, other labels and another optimizer, and comes in another order."""
    from equivcheck.replay.cut import Cuts

    cuts = Cuts()
    first = built(patch)
    assert cut(first, cuts)[1] == 2
    other = built(
        patch,
        {"labels": "one_hot", "training.loss": "categorical_crossentropy", "training.batch_size": 5},
        {"training.optimizer": {"name": "adam"}, "training.seed": 3, "training.shuffle": False},
    )
    for variable in other.model.variables:
        if "kernel" in variable.path:
            variable.assign(2.0 * np.array(variable))
    shared, passes = cut(other, cuts)
    assert passes == 0
    assert told(shared, other) == told(cut(other, Cuts())[0], other)
    own = {id(layer) for layer in other.model._flatten_layers()}
    assert {id(call.layer) for call in shared.fit.calls} <= own
    assert set(map(id, shared.fixed)) <= set(map(id, other.model.variables))


@pytest.mark.parametrize(
    "patch",
    [
        {"backbone.cut": "dropout"},
        {"keras_semantics": "2.1"},
        {"backbone.freeze": False},
        {"frozen.backbone.call": "flat"},
        {"head": [{"dropout": {"rate": 0.5}}, {"dense": {"units": 3, "activation": "softmax"}}]},
    ],
    ids=str,
)
def test_other_layers_are_tried_by_themselves(built, cut, patch):
    from equivcheck.replay.cut import Cuts

    cuts = Cuts()
    cut(built({}), cuts)
    assert cut(built(patch), cuts)[1] == 2


def test_what_lies_before_a_cut_may_not_have_been_changed(built, cut):
    from equivcheck.replay.cut import Cuts
    from equivcheck.replay.rehearse import held_by

    arm, cuts = built({}), Cuts()
    found, _ = cut(arm, cuts)
    assert found.unmoved()
    assert found.unmoved(held_by(arm.model))
    assert cut(arm, cuts)[0] is found
    kernel = next(variable for variable in found.fixed if "kernel" in variable.path)
    kernel.assign(2.0 * np.array(kernel))
    assert not found.unmoved()
    assert not found.unmoved(held_by(arm.model))
    assert cut(arm, cuts)[0] is not found


def test_code_of_the_users_is_always_tried(built, cut):
    from dataclasses import replace

    from equivcheck.replay.cut import Cuts

    cuts = Cuts()
    for _ in range(2):
        assert cut(replace(built({}), made_by="theirs:network"), cuts)[1] == 2
