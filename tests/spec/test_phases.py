"""What a spec says of phases: what each inherits, where it is written, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import jsonschema
import pytest

from equivcheck.errors import SpecError
from equivcheck.findings import SameAs
from equivcheck.repair import concrete
from equivcheck.spec import load, resolve, spec_schema
from equivcheck.spec.model import Slice

PHASES = """\
training:
  optimizer: {name: adam, learning_rate: 0.01}
  loss: categorical_crossentropy
  epochs: 5
  phases:
    head: {}
    tuned:
      unfreeze: {layers: "15:", of: backbone}
      optimizer: {learning_rate: 0.0001}
      epochs: 7
    whole: {unfreeze: true, unfreeze_batchnorm: false, optimizer: {name: sgd}}
labels: one_hot
"""


@pytest.fixture
def spec(valid, tmp_path):
    def written(arms="", phases=PHASES):
        text = valid[: valid.index("training:")] + phases + arms
        (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
        return tmp_path / "spec.yaml"

    return written


@pytest.fixture
def problems(spec):
    def of(old, new):
        with pytest.raises(SpecError) as caught:
            load(spec(phases=PHASES.replace(old, new)))
        return [(problem.key, problem.message) for problem in caught.value.problems]

    return of


@pytest.fixture
def experiment(spec):
    return lambda arms="": resolve(load(spec(arms)))


def test_a_phase_says_what_differs_from_training(experiment):
    training = experiment().frozen.training
    head, tuned, whole = map(training.in_phase, ("head", "tuned", "whole"))
    assert (head.epochs, tuned.epochs, whole.epochs) == (5, 7, 5)
    assert (head.optimizer.name, head.optimizer.arguments) == ("adam", {"learning_rate": 0.01})
    assert (tuned.optimizer.name, tuned.optimizer.arguments) == ("adam", {"learning_rate": 0.0001})
    # Another optimizer does not inherit the arguments of the first.
    assert (whole.optimizer.name, whole.optimizer.arguments) == ("sgd", {})
    assert {phase.loss for phase in (head, tuned, whole)} == {"categorical_crossentropy"}
    assert training.phases["tuned"].unfreeze == Slice(layers="15:", of="backbone")


def test_without_phases_there_is_one_training(valid, spec):
    found = resolve(load(spec(phases=valid[valid.index("training:") :])))
    assert found.phases == ()
    assert found.frozen.training.in_phase("") == found.frozen.training


def test_an_arm_changes_one_thing_of_one_phase(experiment):
    found = experiment("frozen: {training: {phases: {tuned: {epochs: 9}}}}\n")
    assert found.frozen.training.in_phase("tuned").epochs == 9
    assert found.bottleneck.training.in_phase("tuned").epochs == 7
    assert found.frozen.training.phases["tuned"].unfreezes
    assert found.differences == ("training.phases.tuned.epochs",)


def test_an_arm_names_another_optimizer_in_one_phase(experiment):
    found = experiment("frozen: {training: {phases: {tuned: {optimizer: {name: sgd}}}}}\n")
    assert found.frozen.training.in_phase("tuned").optimizer.arguments == {}


def test_an_arm_leaves_a_phase_out(experiment):
    found = experiment("bottleneck: {training: {phases: {tuned: null}}}\n")
    assert tuple(found.phases_of("bottleneck")) == ("head", "whole")
    assert found.phases == ("head", "tuned", "whole")


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ("epochs: 7", "epocs: 7", "training.phases.tuned.epocs", "unknown key"),
        ("epochs: 7", "batch_size: 7", "training.phases.tuned.batch_size", "unknown key"),
        ("epochs: 7", "epochs: 0", "training.phases.tuned.epochs", "must be greater than 0"),
        ("epochs: 7", "recompile: false", "training.phases.tuned.optimizer", "here recompile is false"),
        ("head: {}", "head: {recompile: false}", "training.phases.head.recompile", "the first phase"),
        ("epochs: 7", "freeze: true", "training.phases.tuned.freeze", "goes without unfreeze"),
        ('{layers: "15:", of: backbone}', "15", "training.phases.tuned.unfreeze", "is not true, false or a slice"),
        ("of: backbone", "of: head", "training.phases.tuned.unfreeze.of", "is not known"),
        ("head: {}", "1st: {}", "training.phases.1st", "begins with a letter"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(problems, old, new, key, message):
    assert any(found.startswith(key) and message in said for found, said in problems(old, new))


def test_no_phases_at_all(problems, valid):
    tail = PHASES[PHASES.index("    head") : PHASES.index("labels")]
    assert [key for key, _ in problems("  phases:\n" + tail, "  phases: {}\n")] == ["training.phases"]


def test_the_schema_knows_phases(experiment):
    document = experiment("bottleneck: {training: {phases: {tuned: null, whole: {unfreeze: null}}}}\n").document
    jsonschema.validate(document.data, spec_schema())


def test_keys_are_found_in_their_phase(experiment):
    found = replace(experiment("frozen: {training: {phases: {whole: {epochs: 2}}}}\n"), phase="whole")
    assert found.origin("frozen", "training.optimizer") == "training.phases.whole.optimizer"
    assert found.origin("frozen", "training.epochs") == "frozen.training.phases.whole.epochs"
    assert found.origin("bottleneck", "training.shuffle") == "training"
    assert found.origin("frozen", "backbone.freeze") == "training.phases.whole.unfreeze"
    assert replace(found, phase="head").origin("frozen", "backbone.freeze") == "backbone"


def test_a_repair_is_written_into_its_phase(experiment):
    plain = experiment()
    tuned = replace(plain, phase="tuned")
    assert concrete({"frozen.backbone.freeze": True}, tuned) == {"frozen.training.phases.tuned.unfreeze": False}
    assert concrete({"frozen.backbone.freeze": True}, replace(plain, phase="head")) is None  # it is
    assert concrete({"frozen.training.epochs": SameAs("bottleneck")}, tuned) is None  # they are
    other = replace(experiment("frozen: {training: {phases: {tuned: {epochs: 9}}}}\n"), phase="tuned")
    assert concrete({"frozen.training.epochs": SameAs("bottleneck")}, other) == {
        "frozen.training.phases.tuned.epochs": 7
    }
    only = replace(experiment("bottleneck: {training: {phases: {head: {epochs: 3}}}}\n"), phase="head")
    assert concrete({"frozen.training.epochs": SameAs("bottleneck")}, only) == {"frozen.training.phases.head.epochs": 3}


def test_repairs_of_one_phase_go_together(experiment):
    found = experiment()
    repaired = resolve(
        found.document.patched(
            {
                "frozen.training.phases.tuned.unfreeze": False,
                "frozen.training.phases.tuned.unfreeze_batchnorm": False,
                "frozen.training.phases.tuned.recompile": True,
            }
        )
    )
    assert not repaired.frozen.training.phases["tuned"].unfreezes
    assert repaired.bottleneck.training.phases["tuned"].unfreezes
