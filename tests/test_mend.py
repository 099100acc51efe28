"""Repairs of arms from the user's own code, where nothing can be patched: tried on the live arm."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

from equivcheck.spec import load

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: Pipelines that the study plants its faults in, by options of each arm.
PIPELINES = (Path(__file__).parent / "accuracy" / "user_code" / "pipelines.py").read_text(encoding="utf-8")
SPEC = 'version: 1\nbottleneck: {{callable: "{0}:ours"}}\nfrozen: {{callable: "{0}:theirs"}}\n'
DROPOUT = {"noise": "dropout"}
SGD = {"optimizer": "sgd"}
OWN_OPTIMIZER = """
class Secretive(keras.optimizers.SGD):
    def __init__(self, rate, *, secret):
        super().__init__(rate)


def compiled(model, o):
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer=Secretive(o.rate, secret=1), loss=loss, metrics=["accuracy"])
    return model
"""
_NUMBERS = itertools.count()

#: What must be found and be gone after its repair: options of both arms, and of the frozen arm alone.
REPAIRABLE = {
    "EQ103 mixed rows in one order": ({}, {"shuffle": False}),
    "EQ104 sorted rows in one order": ({"data": "sorted"}, {"shuffle": False}),
    "EQ307 class weights": ({}, {"weighted": True}),
    "EQ401 nested": (DROPOUT, {}),
    "EQ401 flat": (DROPOUT, {"style": "flat"}),
    "EQ401 wrapped": (DROPOUT, {"style": "wrapped"}),
    "EQ401 subclassed": (DROPOUT, {"style": "subclassed"}),
    "EQ402 old layers": ({"normalisation": "old"}, {}),
    "EQ403 drifting layers": ({"normalisation": "drifting"}, {}),
    "EQ404 noise": ({"noise": "gaussian"}, {}),
    "EQ406 the guide's recipe": (DROPOUT, {"style": "training_false"}),
    "EQ501 nothing frozen": ({}, {"freeze": "nothing"}),
    "EQ501 nothing frozen, subclassed": ({}, {"freeze": "nothing", "style": "subclassed"}),
    "EQ501 a layer inside is back on": ({}, {"freeze": "one_back_on"}),
    "EQ504 the head frozen as well": ({}, {"freeze": "everything"}),
    "EQ505 another draw": ({}, {"head_seed": 8}),
    "EQ601 another optimizer": ({}, SGD),
    "EQ602 another rate": ({}, {"rate": 0.001}),
    "EQ604 other batches": ({}, {"batch": 11}),
    "EQ605 more epochs": ({}, {"epochs": 4}),
    "EQ605 stopped early": ({"epochs": 3}, {"callbacks": True}),
    "EQ606 clipped": ({}, {"optimizer": "clipped"}),
}


@pytest.fixture(scope="module")
def run(tensorflow, tmp_path_factory):
    from equivcheck.pipeline import run_document

    folder = tmp_path_factory.mktemp("mend")

    def running(shared, frozen, more=""):
        module = f"mend_{next(_NUMBERS)}"
        functions = (
            f"def ours():\n    return bottleneck(**{shared!r})\n\n\n"
            f"def theirs():\n    return frozen(**{ ({**shared, **frozen})!r})\n"
        )
        (folder / f"{module}.py").write_text(f"{PIPELINES}\n{more}\n{functions}", encoding="utf-8")
        spec = folder / f"{module}.yaml"
        spec.write_text(SPEC.format(module), encoding="utf-8")
        # A slow machine must not leave a training out.
        return run_document(load(spec), cache_dir=folder, replay=False, budget=math.inf)

    return running


def curves_of(report, arm):
    return {curve.metric: curve.values for curve in report.curves if curve.arm == arm}


#: One for each way of mending.
QUICK = ("EQ104", "EQ307 class weights", "EQ401 wrapped", "EQ403", "EQ501 a layer", "EQ505", "EQ602", "EQ605")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name.startswith(QUICK) else pytest.mark.slow) for name in REPAIRABLE]
)
def test_the_repair_is_tried_and_holds(run, name):
    """All the way: the repaired arm trains as one that never had the fault, to the last bit."""
    shared, frozen = REPAIRABLE[name]
    report = run(shared, frozen)
    errors = {finding.code: finding.verified for finding in report.findings if finding.severity == "error"}
    assert name.partition(" ")[0] in errors
    assert set(errors.values()) == {True}
    sound = run(shared, {"style": "inference"} if shared else {})  # what is shared is harmless in inference mode
    assert curves_of(report, "repaired") == curves_of(sound, "frozen") != curves_of(report, "frozen")


def test_what_only_the_users_code_can_change_stays_untried(run):
    report = run({}, {"scale": "unit"})
    assert {(finding.code, finding.verified) for finding in report.findings} == {("EQ201", None)}
    assert {curve.arm for curve in report.curves} == {"bottleneck", "frozen"}


def test_one_of_two_repairs_is_tried(run):
    """What is left is what could not be tried, so there is no repaired curve."""
    report = run({}, {"scale": "unit", "freeze": "nothing"})
    assert {(finding.code, finding.verified) for finding in report.findings} == {("EQ201", None), ("EQ501", True)}
    assert {curve.arm for curve in report.curves} == {"bottleneck", "frozen"}


def test_a_mended_arm_on_a_data_set_is_probed_but_not_trained(run):
    """Its data would begin where the probes left them."""
    report = run({"loader": "dataset", "shuffle": False}, {"freeze": "nothing"})
    assert {(finding.code, finding.verified) for finding in report.findings} == {("EQ501", True)}
    assert "repaired" not in {curve.arm for curve in report.curves}


def test_an_arm_that_does_not_bear_its_repair_leaves_it_untried(run):
    """An optimizer of the user's own that cannot be made from its configuration."""
    report = run({}, {"rate": 0.001}, OWN_OPTIMIZER)
    assert {finding.verified for finding in report.findings if finding.severity == "error"} == {None}
    assert {curve.arm for curve in report.curves} == {"bottleneck", "frozen"}
