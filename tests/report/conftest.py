"""A report as a run on seed 000 could give it: three causes, one cleared difference, about sixty layers."""

from __future__ import annotations

import pytest

from equivcheck.findings import Cleared, Finding, Repair, Skipped
from equivcheck.location import Location
from equivcheck.measured import Curve, Distance, FirstDivergence, LayerRow, ParameterCount, Setting, TrainingFlag
from equivcheck.report.model import Report
from equivcheck.report.summary import summarise

CURVES = {
    ("bottleneck", "accuracy"): (0.812, 0.906, 0.938, 0.953, 0.969, 0.969, 0.984, 0.984, 0.984, 1.0),
    ("bottleneck", "val_accuracy"): (0.844, 0.891, 0.922, 0.938, 0.938, 0.953, 0.953, 0.969, 0.969, 0.969),
    ("bottleneck", "loss"): (0.512, 0.301, 0.224, 0.181, 0.149, 0.131, 0.114, 0.102, 0.094, 0.0871),
    ("bottleneck", "val_loss"): (0.421, 0.312, 0.252, 0.221, 0.201, 0.187, 0.176, 0.168, 0.162, 0.157),
    ("frozen", "accuracy"): (0.469, 0.547, 0.516, 0.578, 0.531, 0.563, 0.594, 0.547, 0.578, 0.609),
    ("frozen", "val_accuracy"): (0.5, 0.5, 0.531, 0.5, 0.469, 0.5, 0.531, 0.5, 0.5, 0.5),
    ("frozen", "loss"): (0.981, 0.874, 0.861, 0.812, 0.834, 0.796, 0.781, 0.802, 0.776, 0.761),
    ("frozen", "val_loss"): (0.912, 0.894, 0.871, 0.883, 0.862, 0.871, 0.858, 0.866, 0.861, 0.859),
    ("repaired", "accuracy"): (0.812, 0.906, 0.938, 0.953, 0.969, 0.969, 0.984, 0.984, 0.984, 1.0),
    ("repaired", "val_accuracy"): (0.844, 0.891, 0.922, 0.938, 0.938, 0.953, 0.953, 0.969, 0.969, 0.969),
    ("EQ402", "val_accuracy"): (0.641, 0.703, 0.719, 0.75, 0.766, 0.766, 0.781, 0.781, 0.813, 0.813),
    ("EQ104", "val_accuracy"): (0.5, 0.531, 0.531, 0.563, 0.547, 0.563, 0.563, 0.578, 0.563, 0.578),
    ("EQ401", "val_accuracy"): (0.5, 0.5, 0.531, 0.5, 0.5, 0.516, 0.531, 0.531, 0.531, 0.531),
}

FINDINGS = (
    Finding(
        code="EQ104",
        name="class-sorted-batches",
        severity="error",
        arm="frozen",
        title="Batches hold one class at a time",
        message=(
            "The frozen arm walks the class folders one after the other: all 8 samples of class 0 come before the "
            "first of class 1, and each batch holds a single class. The head is pulled to one class for half an epoch "
            "and to the other for the rest, so it ends each epoch having forgotten the first. The bottleneck arm "
            "shuffles, so it never sees this."
        ),
        measured={"mean_classes_per_batch": 1.0, "longest_run_samples": 8, "entropy_per_batch_bits": 0.0},
        expected="batches that mix the classes as the data set does (entropy near 1 bit)",
        repair=Repair(
            "Shuffle the frozen arm's samples: flow_from_directory(..., shuffle=True).",
            {"frozen.training.shuffle": True},
        ),
        key="training.shuffle",
        location=Location("specs/two-class-inception.yaml", 36, 24),
        verified=True,
        share=-9.4,
    ),
    Finding(
        code="EQ801",
        name="metric-reported-in-training-mode",
        severity="note",
        arm="both",
        title="The training metric is a running average in training mode",
        message="The accuracy that fit prints for training data is averaged while the weights still change.",
        measured={"fit_minus_evaluate_pp": -4.7},
        expected="the same value as evaluate on the training data",
    ),
    Finding(
        code="EQ402",
        name="batchnorm-uses-batch-statistics",
        severity="error",
        arm="frozen",
        title="A frozen BatchNormalization normalises with batch statistics",
        message=(
            "While the head is trained, 20 frozen BatchNormalization layers normalise with the mean and variance of "
            "the batch at hand; while it is evaluated, with their moving statistics. So the head learns on features "
            "that it never meets in validation. The bottleneck arm stored its features with moving statistics, so its "
            "head learns on what it is later judged by."
        ),
        measured={"layers": 20, "largest_relative_difference": 0.8741, "in_inference": 0.0, "batch_size": 1},
        expected="the same output in fit and in predict",
        repair=Repair(
            "Keep the backbone in inference mode during fit: build the frozen arm with the layer semantics of Keras 3, "
            "where trainable=False does that.\nIn Keras 2.1 itself: K.set_learning_phase(0) before the backbone is "
            "built.",
            {"frozen.keras_semantics": "3", "frozen.training.batch_size": 24},
        ),
        key="keras_semantics",
        layer="backbone/conv2d_1_bn",
        location=Location("specs/two-class-inception.yaml", 37, 20, "backbone/conv2d_1_bn"),
        verified=True,
        share=-31.7,
    ),
    Finding(
        code="EQ202",
        name="preprocessing-unlike-pretraining",
        severity="warning",
        arm="both",
        title="Images are not scaled as the backbone was pretrained",
        message="Both arms hand the network values in [0, 1]; InceptionV3 was pretrained on values in [-1, 1].",
        measured={"scale": 0.00392157, "scale_in_pretraining": 0.00784314},
        expected="x / 127.5 - 1",
        repair=Repair("Use the backbone's own preprocess_input.", {"preprocessing": {"application": "inception_v3"}}),
        key="preprocessing",
        location=Location("specs/two-class-inception.yaml", 14, 17),
    ),
    Finding(
        code="EQ401",
        name="dropout-active-in-backbone",
        severity="error",
        arm="frozen",
        title="Dropout is active inside the frozen backbone",
        message=(
            "fit calls the whole model with training=True, and Dropout obeys that even when it is frozen: 20 % of the "
            "1536 features are zeroed anew at each step. The bottleneck arm's features were stored without dropout."
        ),
        measured={"features_zeroed_percent": 19.97, "two_passes_max_rel": 0.4129},
        expected="two passes over one batch agree",
        repair=Repair(
            "Cut the backbone below its dropout, or wrap it in a layer whose call runs self.base(x, training=False).",
            {"backbone.cut": "avg_pool"},
        ),
        key="backbone.cut",
        layer="backbone/dropout",
        location=Location("specs/two-class-inception.yaml", 11, 8, "backbone/dropout"),
        verified=None,
        share=-3.2,
    ),
)


def _layers() -> tuple[LayerRow, ...]:
    equal, rows = Distance(0.0, 0.0, 1.0), []

    def add(name: str, kind: str, training: Distance, role: str, **facts: bool) -> None:
        rows.append(
            LayerRow(
                name=name,
                kind=kind,
                bottleneck=name,
                frozen=name,
                inference=equal,
                training=training,
                training_flag=TrainingFlag(fit=True, evaluate=False, predict=False),
                stochastic=facts.get("stochastic", False),
                batch_dependent=facts.get("batch_dependent", False),
                trainable=facts.get("trainable", False),
                moved=facts.get("trainable", False),
                role=role,
            )
        )

    add("backbone/input", "InputLayer", equal, "equal")
    for block in range(5):
        add(f"backbone/stem_{block}_pad", "ZeroPadding2D", equal, "equal")
    for unit in range(1, 17):
        grown = Distance(1.71 * unit, min(0.061 * unit, 0.8741), 0.91)
        add(f"backbone/conv2d_{unit}", "Conv2D", grown if unit > 1 else equal, "propagated" if unit > 1 else "equal")
        add(f"backbone/conv2d_{unit}_bn", "BatchNormalization", grown, "source", batch_dependent=True)
        add(f"backbone/conv2d_{unit}_relu", "Activation", grown, "propagated")
    add("backbone/avg_pool", "GlobalAveragePooling2D", Distance(2.13, 0.732, 0.88), "propagated")
    add("backbone/dropout", "Dropout", Distance(3.42, 0.8123, 0.81), "source", stochastic=True)
    add("head/dense", "Dense", Distance(0.411, 0.4512, 0.93), "propagated", trainable=True)
    return tuple(rows)


def build() -> Report:
    """The sample."""
    curves = tuple(Curve(arm, metric, values) for (arm, metric), values in CURVES.items())
    cleared = (
        Cleared(
            "EQ301",
            "label-encoding-differs",
            "Integer labels with sparse_categorical_crossentropy and one-hot labels with categorical_crossentropy give "
            "the same loss.",
            {"max_loss_difference": 1.1920929e-07, "samples": 16},
        ),
    )
    first = FirstDivergence(training="backbone/conv2d_1_bn")
    return Report(
        name="two-class-inception",
        verdict="divergent",
        summary=summarise("two-class-inception", "divergent", FINDINGS, cleared, curves, first),
        findings=FINDINGS,
        cleared=cleared,
        skipped=(
            Skipped("EQ403", "EQ402 fired: statistics that are not used cannot drift"),
            Skipped("EQ803", "the spec gives no observed curves"),
        ),
        layers=_layers(),
        first_divergence=first,
        parameters={
            "bottleneck": ParameterCount(3_074, 41_174_272, 3_074),
            "frozen": ParameterCount(3_074, 41_174_272, 3_074),
        },
        curves=curves,
        attribution={
            "metric": "val_accuracy",
            "gap": -46.9,
            "shares": [
                {"code": "EQ402", "share": -31.7, "low": -34.4, "high": -29.1, "alone": -30.4, "repaired": -33.0},
                {"code": "EQ104", "share": -9.4, "low": -12.1, "high": -7.8, "alone": -8.1, "repaired": -10.7},
                {"code": "EQ401", "share": -3.2, "low": None, "high": None, "alone": None, "repaired": None},
            ],
            "interactions": [{"codes": ["EQ104", "EQ402"], "share": -2.6}],
            "residual": -2.6,
            "repetitions": 5,
            "smallest": ["EQ402", "EQ104"],
            "curves": [
                {
                    "metric": "val_accuracy",
                    "gap": -46.9,
                    "shares": {"EQ402": -31.7, "EQ104": -9.4, "EQ401": -3.2},
                    "residual": -2.6,
                }
            ],
            "missing": "",
        },
        versions={"equivcheck": "0.1.0", "keras": "3.15.1", "tensorflow": "2.21.0", "numpy": "2.4.6"},
        machine={"platform": "Linux-6.8-x86_64", "cpus": 2, "gpus": 0},
        settings=(
            Setting("training samples", "16", "16", differs=False),
            Setting("order of samples", "shuffled anew each epoch", "by class folder, never shuffled", differs=True),
            Setting("image size (height, width)", "299 by 299", "299 by 299", differs=False),
            Setting("preprocessing", "pixel / 255", "pixel / 255", differs=False),
            Setting("labels", "sparse", "one_hot", differs=True),
            Setting("loss", "sparse_categorical_crossentropy", "categorical_crossentropy", differs=True),
            Setting("optimizer", "rmsprop, learning rate 0.001", "rmsprop, learning rate 0.001", differs=False),
            Setting("batch size", "1", "1", differs=False),
            Setting("epochs", "10", "10", differs=False),
            Setting("layer semantics", "Keras 3.15", "Keras 2.1", differs=True),
        ),
        seconds={"arms": 3.2, "trace": 5.9, "replay": 41.0},
        what_if=(
            {
                "advice": "cut below the dropout",
                "source": "the accepted answer",
                "patch": {"backbone.cut": "avg_pool"},
                "metric": "val_accuracy",
                "gap": -46.9,
                "gap_then": -44.1,
                "bottleneck": 0.969,
                "frozen": 0.528,
                "frozen_declared": 0.5,
                "closed": 2.8,
                "low": -0.9,
                "high": 6.5,
                "effect": "none",
                "gone": ["EQ401"],
                "new": [],
                "repetitions": 5,
                "missing": "",
            },
            {
                "advice": "batch size 4096",
                "source": "",
                "patch": {"frozen.training.batch_size": 4096},
                "metric": "val_accuracy",
                "gap": None,
                "gap_then": None,
                "bottleneck": None,
                "frozen": None,
                "frozen_declared": None,
                "closed": None,
                "low": None,
                "high": None,
                "effect": "unknown",
                "gone": [],
                "new": [],
                "repetitions": 0,
                "missing": "the budget was spent before",
            },
        ),
    )


@pytest.fixture
def report() -> Report:
    """The sample."""
    return build()
