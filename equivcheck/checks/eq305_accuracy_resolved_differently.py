"""EQ305: the arms mean different things by accuracy."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs

#: Accuracies on some tens of predictions in float32 agree to this unless one prediction is counted otherwise.
EQUAL = 1e-6


class AccuracyResolvedDifferently(Check):
    """Judges what both arms' compiled accuracy makes of the same predictions."""

    code = "EQ305"
    name = "accuracy-resolved-differently"
    title = "The arms mean different things by accuracy"
    what = "Compares what the accuracy that each arm compiled makes of one set of predictions for the same labels."
    why = (
        "Which function `accuracy` stands for depends on the loss, on the shape of labels and outputs, and on the "
        "version of Keras. With five classes an undecided prediction is 80 % right by binary_accuracy, which counts "
        "single outputs, and 0 % by categorical_accuracy. The curves part although the weights are the same."
    )
    shows = """\
one_hot, wrong = np.eye(5)[[0]], np.array([[0.1, 0.6, 0.1, 0.1, 0.1]])
accuracy = keras.metrics.BinaryAccuracy(name="accuracy")
accuracy.update_state(one_hot, wrong)  # 0.6
"""
    clean = """\
one_hot, wrong = np.eye(5)[[0]], np.array([[0.1, 0.6, 0.1, 0.1, 0.1]])
accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
accuracy.update_state(one_hot, wrong)  # 0.0
"""
    measured = (
        "Each arm's own compiled metrics are given confident predictions of several classes and an undecided one, for "
        "labels of each of these classes as the arm's iterator yields them; what they had counted is put back. Logits "
        "are given to an arm whose last layer gives logits."
    )
    mistaken_for = (
        "sparse_categorical_accuracy beside categorical_accuracy, each with labels of its kind; binary_accuracy on two "
        "outputs of a softmax, which counts the same. The training of the weights does not depend on a metric."
    )
    advice = (
        "Name the function: metrics=[keras.metrics.CategoricalAccuracy(name='accuracy')], or the sparse or binary one "
        "that suits the labels, in both arms; with one output of logits, BinaryAccuracy(threshold=0)."
    )
    references = (
        "https://keras.io/api/metrics/accuracy_metrics/",
        "https://github.com/keras-team/keras/issues/10213",
        "https://github.com/tensorflow/tensorflow/issues/34088",
    )
    requires = ("EQ302",)
    fault = Fault(
        {"frozen.keras_semantics": "2.1"},
        start={
            "backbone": {
                "file": "../backbones/vgg_small.keras",
                "cut": "flatten",
                "trained_with": {"rescale": 0.00392156862745098},
            },
            "preprocessing": {"rescale": 0.00392156862745098},
            "labels": "one_hot",
            "training.loss": "binary_crossentropy",
        },
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding, or cleared where two functions count alike."""
        ours, theirs = evidence.bottleneck.labels, evidence.frozen.labels
        if ours.accuracy is None or theirs.accuracy is None or ours.profile.keys() != theirs.profile.keys():
            return
        if abs(ours.accuracy - theirs.accuracy) <= EQUAL:
            if ours.accuracy_rule != theirs.accuracy_rule:
                yield self.cleared(
                    f"accuracy is {ours.accuracy_rule} in the bottleneck arm and {theirs.accuracy_rule} in the frozen "
                    "arm, and both count the same predictions as right",
                    bottleneck_accuracy=ours.accuracy,
                    frozen_accuracy=theirs.accuracy,
                )
            return
        yield self.finding(
            "both",
            f"On the same predictions the bottleneck arm's accuracy ({ours.accuracy_rule}) is {ours.accuracy:.3g} and "
            f"the frozen arm's ({theirs.accuracy_rule}) {theirs.accuracy:.3g}, so their accuracy curves cannot be "
            "compared.",
            measured={
                "bottleneck_accuracy": ours.accuracy,
                "frozen_accuracy": theirs.accuracy,
                "bottleneck_function": ours.accuracy_rule,
                "frozen_function": theirs.accuracy_rule,
                "classes_asked": len(ours.profile),
            },
            expected="equal accuracies of equal predictions",
            patch={
                "frozen.keras_semantics": SameAs("bottleneck"),
                "frozen.labels": SameAs("bottleneck"),
                "frozen.training.loss": SameAs("bottleneck"),
            },
            key="keras_semantics",
        )
