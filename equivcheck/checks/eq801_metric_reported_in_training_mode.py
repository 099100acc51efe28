"""EQ801: the training accuracy that fit tells is not that of the network which evaluate runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import ClassVar

from equivcheck.check import Check, Fault, Subject
from equivcheck.evidence import Evidence, Outcome
from equivcheck.findings import ArmName, Cleared, Finding

#: Standard errors that an accuracy must be off: 3.29 is a chance of 0.1 % (normal distribution, two-sided).
_STANDARD_ERRORS = 3.29

#: Differences below five percentage points are the small end of what this is mistaken for in issue threads.
_SMALLEST = 0.05


class MetricReportedInTrainingMode(Check):
    """Judges a trained arm on its own training samples in both modes."""

    code = "EQ801"
    name = "metric-reported-in-training-mode"
    title = "The reported training accuracy is that of another network than evaluate runs"
    what = (
        "Finds trained arms that answer their own training samples right as `fit` runs them and wrong as `evaluate` "
        "does: layers of the head have not the state in inference that they were trained with."
    )
    why = (
        "`fit` tells an average over the steps of the epoch, in training mode. Where a BatchNormalization of the head "
        "uses batch statistics then and moving statistics that lag behind afterwards, the reported training accuracy "
        "is high, and validation, which runs in inference mode, stays low. That looks like overfitting and is not."
    )
    shows = """\
head = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization(momentum=0.999), keras.layers.Dense(2)])
"""
    clean = """\
head = keras.Sequential([keras.Input((4,)), keras.layers.LayerNormalization(), keras.layers.Dense(2)])
"""
    measured = (
        "After training, up to 512 training samples are run in the real batches with the trained weights, once in "
        "training mode and once in inference mode, and the accuracies are compared: 3.29 standard errors, and five "
        "percentage points. All variables are put back."
    )
    mistaken_for = (
        "Dropout in the head, augmentation, and the first epochs of any training: the reported accuracy is then lower "
        "than what evaluate gives on the same samples, which is harmless and no underfitting; all are listed as "
        "cleared."
    )
    advice = (
        "Train longer, or give the BatchNormalization of the head a smaller momentum (0.9) so that its moving "
        "statistics keep up, or use LayerNormalization; compare curves only with evaluate on the training samples."
    )
    references = (
        "https://keras.io/getting_started/faq/#why-is-my-training-loss-much-higher-than-my-testing-loss",
        "https://github.com/keras-team/keras/issues/6977",
        "https://keras.io/api/layers/normalization_layers/batch_normalization/",
    )
    # A live backbone makes training mode another network; and an arm with another head is told as that. Augmentation in
    # the model (EQ205) only makes training mode worse, which is cleared.
    requires = (
        *("EQ401", "EQ402", "EQ403", "EQ404", "EQ405", "EQ406"),
        *("EQ204", "EQ501", "EQ503", "EQ506", "EQ507"),
    )
    subject: ClassVar[Subject] = "training"
    severity = "warning"
    fault = Fault({"head": [{"batch_normalization": {}}, {"dense": {"units": 5, "activation": "softmax"}}]})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all arms that do worse in inference mode; the other direction is cleared."""
        worse = {arm: found for arm, found in evidence.outcome.items() if _above(found.in_training, found)}
        if worse:
            yield self._finding(worse)
        misleading = {
            arm: found
            for arm, found in evidence.outcome.items()
            if arm not in worse and found.reported is not None and _above(found.in_inference, found, found.reported)
        }
        if misleading:
            yield self._cleared(misleading)

    def _finding(self, worse: Mapping[ArmName, Outcome]) -> Finding:
        arm, found = next(iter(worse.items()))
        both = len(worse) == 2  # noqa: PLR2004  (two arms)
        return self.finding(
            "both" if both else arm,
            f"The trained {arm} arm gets {_percent(found.in_training)} of its training samples right in training mode, "
            f"as fit does, and {_percent(found.in_inference)} in inference mode, as evaluate does, with the same "
            f"weights{'; the other arm likewise' if both else ''}. The gap between training and validation is made by "
            "the mode, not by overfitting.",
            measured=_numbers(worse),
            expected="the trained network answers its training samples alike in both modes",
            key="head",
        )

    def _cleared(self, misleading: Mapping[ArmName, Outcome]) -> Cleared:
        arm, found = next(iter(misleading.items()))
        reported = found.reported if found.reported is not None else 0.0
        reason = (
            "layers that are random in fit hold it down"
            if _above(found.in_inference, found, found.in_training)
            else "it is an average over the epoch, in which the weights still moved"
        )
        return self.cleared(
            f"fit reported a training accuracy of {_percent(reported)} for the last epoch of the {arm} arm, evaluate "
            f"gives {_percent(found.in_inference)} on the same samples: {reason}. This is no underfitting.",
            **_numbers(misleading),
        )


def _above(higher: float, found: Outcome, lower: float | None = None) -> bool:
    """Whether one accuracy is higher than another by more than chance; than that in inference mode by default."""
    below = found.in_inference if lower is None else lower
    middle = (higher + below) / 2
    error = sqrt(2 * middle * (1 - middle) / found.samples) if 0 < middle < 1 else 0.0
    return higher - below > max(_SMALLEST, _STANDARD_ERRORS * error)


def _numbers(outcomes: Mapping[ArmName, Outcome]) -> dict[str, float | int | None]:
    numbers: dict[str, float | int | None] = {}
    for arm, found in outcomes.items():
        numbers |= {
            f"{arm}_reported_accuracy": found.reported,
            f"{arm}_accuracy_in_training_mode": found.in_training,
            f"{arm}_accuracy_in_inference_mode": found.in_inference,
            f"{arm}_training_samples": found.samples,
        }
    return numbers


def _percent(accuracy: float) -> str:
    return f"{100 * accuracy:.1f} %"
