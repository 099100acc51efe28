"""EQ702 and EQ703 beside other causes: they are left for what EQ601 to EQ607 do not name."""

from __future__ import annotations

import itertools

import pytest

from equivcheck.spec import load

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

SOFTMAX = {"units": 3, "activation": "softmax"}
PENALISED = {"dense": {**SOFTMAX, "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}}}}
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    from equivcheck.pipeline import run_document

    folder = tmp_path_factory.mktemp("cache")
    return lambda patch: run_document(tiny.patched(patch), cache_dir=folder, curves=False)


def found(report):
    """The errors by code; no check failed."""
    assert not [skipped for skipped in report.skipped if "failed" in skipped.reason]
    return {finding.code: finding for finding in report.findings if finding.severity == "error"}


def test_another_learning_rate(run):
    sgd = {"name": "sgd", "learning_rate": 0.1}
    report = run({"training.optimizer": sgd, "frozen.training.optimizer": {"learning_rate": 0.4}})
    (finding,) = found(report).values()
    assert (finding.code, report.verdict, finding.verified) == ("EQ602", "divergent", True)
    assert finding.repair.patch == {"frozen.training.optimizer.learning_rate": 0.1}
    assert finding.measured["step_length_ratio"] == pytest.approx(4, rel=1e-5)
    assert next(skipped.reason for skipped in report.skipped if skipped.code == "EQ703") == "a consequence of EQ602"


@pytest.mark.parametrize(
    ("theirs", "code"),
    [
        ({"name": "rmsprop", "learning_rate": 0.1}, "EQ601"),
        ({"momentum": 0.9}, "EQ601"),
        ({"clipnorm": 0.001}, "EQ606"),
    ],
)
def test_what_of_the_optimizer_makes_the_update_differ(run, theirs, code):
    optimizer = {"name": "sgd", "learning_rate": 0.1}
    errors = found(run({"training.optimizer": optimizer, "frozen.training.optimizer": theirs}))
    assert set(errors) == {code}
    assert errors[code].verified is True


def test_a_difference_that_three_steps_do_not_show(run):
    """The averaged weights replace the others only when fit ends."""
    adam = {"training.optimizer": {"name": "adam"}, "frozen.training.optimizer": {"use_ema": True}}
    errors = found(run(adam))
    assert set(errors) == {"EQ601"}
    assert errors["EQ601"].measured["frozen_use_ema"] is True
    assert errors["EQ601"].verified is True


def test_what_no_setting_of_the_optimizer_explains(run):
    """A constraint of the weights is applied by the optimizer and is none of its settings."""
    constrained = {"dense": {**SOFTMAX, "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 0.1}}}}
    errors = found(run({"frozen.head": [constrained]}))
    assert set(errors) == {"EQ703"}
    assert errors["EQ703"].measured["step_at_which_equality_ends"] == 1
    assert "Step 1 is the first" in errors["EQ703"].message
    assert errors["EQ703"].verified is True


def test_another_loss_on_the_same_labels(run):
    one_hot = {"labels": "one_hot", "training.loss": "categorical_crossentropy"}
    errors = found(run({**one_hot, "frozen.training.loss": "mean_squared_error"}))
    assert set(errors) == {"EQ603"}
    finding = errors["EQ603"]
    assert finding.repair.patch == {"frozen.training.loss": "categorical_crossentropy"}
    assert finding.verified is True


def test_causes_before_in_and_behind_the_head_are_told_apart_at_once(run):
    """Dropout in the backbone, a penalty on the head, another learning rate."""
    report = run(
        {
            "backbone.cut": "dropout",
            "frozen.head": [PENALISED],
            "training.optimizer": {"name": "adam"},
            "frozen.training.optimizer": {"learning_rate": 0.1},
        }
    )
    errors = found(report)
    assert set(errors) == {"EQ401", "EQ602", "EQ702"}
    assert errors["EQ702"].measured["relative_loss_difference_per_sample"] < 1e-5
    assert errors["EQ702"].measured["variables_with_another_gradient"] == 1
    assert all(finding.verified for finding in errors.values())


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"frozen.data.classes": ["2", "1", "0"]}, "EQ303"),
        ({"labels": "one_hot", "training.loss": "mean_squared_error", "frozen.labels": "sparse"}, "EQ302"),
        ({"frozen.labels": "one_hot", "frozen.training.loss": "binary_crossentropy"}, "EQ301"),
    ],
)
def test_the_gradient_of_another_label_is_not_another_cause(run, patch, code):
    report = run({"training.optimizer": {"name": "adam"}, **patch})
    assert set(found(report)) == {code}


def test_a_norm_clipped_over_an_unfrozen_backbone_is_not_another_cause(run):
    report = run(
        {
            "training.optimizer": {"name": "sgd", "learning_rate": 0.1, "global_clipnorm": 0.001},
            "frozen.backbone": {"freeze": False},
        }
    )
    assert "EQ501" in found(report)
    assert not {"EQ606", "EQ703"} & set(found(report))


def test_what_moves_is_found_behind_the_steps_that_half_precision_skips(run):
    """Its first gradients overflow; then nothing is clipped either, and nothing is trainable that does not move."""
    report = run({"frozen.precision": "mixed_float16", "frozen.backbone": {"freeze": False}})
    errors = found(report)
    assert set(errors) == {"EQ501", "EQ704"}
    assert all(finding.verified for finding in errors.values())


CODE = """
from types import SimpleNamespace

import keras
import numpy as np

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(20, 8, 8, 3)).astype("float32")
LABELS = RANDOM.permutation(20)[:, None] % 3


def backbone():
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(6, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    base = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="base")
    base.trainable = False
    return base


def arm(x, layers, optimizer="adam", reduction="sum_over_batch_size", **more):
    keras.utils.set_random_seed(7)
    # Drawn by either arm for itself, from states of its own: the steps are taken from equal ones.
    head = [keras.layers.Dropout(0.5), keras.layers.Dense(4, "relu"), keras.layers.Dense(3, "softmax")]
    model = keras.Sequential([*layers, *head])
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(reduction=reduction))
    fit = {"epochs": 1, "batch_size": 8}
    return SimpleNamespace(model=model, train=(x, LABELS), validation=None, fit=fit, **more)


def bottleneck():
    base = backbone()
    features = base.predict(IMAGES, batch_size=8, verbose=0)
    return arm(features, [keras.Input((6,))], backbone=base, images=IMAGES)


def frozen(**more):
    return arm(IMAGES, [keras.Input((8, 8, 3)), backbone()], **more)


def flat():
    return arm(IMAGES, [keras.Input((8, 8, 3)), *backbone().layers])


def summed():
    return frozen(reduction="sum")


def descending():
    return frozen(optimizer=keras.optimizers.SGD(0.1))
"""


@pytest.mark.parametrize(
    ("function", "codes"), [("frozen", set()), ("flat", set()), ("summed", {"EQ603"}), ("descending", {"EQ601"})]
)
def test_arms_from_code(tensorflow, tmp_path, function, codes):
    """Their repairs are words; and states of random generators that differ are no difference of a gradient."""
    from equivcheck.pipeline import run_document

    module = f"stepping_{next(_NUMBERS)}"
    (tmp_path / f"{module}.py").write_text(CODE, encoding="utf-8")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        f'version: 1\nbottleneck: {{callable: "{module}:bottleneck"}}\nfrozen: {{callable: "{module}:{function}"}}\n',
        encoding="utf-8",
    )
    errors = found(run_document(load(spec), cache_dir=tmp_path, curves=False))
    assert set(errors) == codes
    for code in codes:
        assert errors[code].repair.patch is None
        assert errors[code].repair.text
