"""EQ802: a trained arm answers the same class for every validation sample."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import ClassVar

import numpy as np

from equivcheck.check import Check, Fault, Subject
from equivcheck.evidence import Evidence, Outcome
from equivcheck.findings import ArmName, Cleared, Finding

#: Largest chance that a network which answers as often as the classes occur hits one class only.
_CHANCE = 0.01

#: Epochs after which a head that learns has left its start: what Keras' transfer-learning tutorials train it for.
_EPOCHS = 10

#: Standard errors above a constant prediction from which on an arm has learned (a chance of 0.1 %).
_STANDARD_ERRORS = 3.29


class ConstantPrediction(Check):
    """Judges which classes a trained arm answers."""

    code = "EQ802"
    name = "constant-prediction"
    title = "The trained network answers one class for every validation sample"
    what = "Finds arms that, after their training, predict one and the same class for the whole validation set."
    why = (
        "The accuracy of such an arm is the share of that class, whatever the images show: .5 for two balanced "
        "classes, and other values only where the validation samples change. Its curve tells of the classes, not of "
        "what was learned."
    )
    shows = """\
head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2)])
head.compile(optimizer=keras.optimizers.SGD(100.0), loss="mse")
"""
    clean = """\
head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2)])
head.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
"""
    measured = (
        "After training, up to 512 validation samples are run in inference mode with the trained weights and the "
        "predicted classes counted. Where both arms do so, it is told only after ten epochs, or when an arm answers "
        "its training samples better than any constant would."
    )
    mistaken_for = (
        "Validation sets of one class, or so small or uneven that a good network may hit one class only (chance above "
        "1 %); trainings of a few epochs, after which both arms still stand where they began."
    )
    advice = (
        "Repair what makes the arm answer so: batches sorted by class, labels that do not belong to their samples, "
        "other preprocessing for validation, batch statistics of single images, or a learning rate that is too high "
        "and kills all ReLUs of the head at once."
    )
    references = (
        "https://github.com/keras-team/keras/issues/2389",
        "https://github.com/tensorflow/tensorflow/issues/12789",
        "https://keras.io/guides/transfer_learning/",
        "Lu et al. 2020, Dying ReLU and Initialization",
    )
    # Whatever makes one arm learn something else can end here: it is then a consequence.
    requires = (
        *("EQ101", "EQ102", "EQ103", "EQ104", "EQ105", "EQ107", "EQ108", "EQ109", "EQ110", "EQ111"),
        *("EQ201", "EQ203", "EQ204", "EQ205", "EQ206", "EQ207", "EQ208", "EQ209"),
        *("EQ301", "EQ302", "EQ303", "EQ304", "EQ305", "EQ306", "EQ307"),
        *("EQ401", "EQ402", "EQ403", "EQ404", "EQ405", "EQ406"),
        *("EQ501", "EQ502", "EQ503", "EQ504", "EQ505", "EQ506", "EQ507", "EQ508", "EQ509"),
        *("EQ601", "EQ602", "EQ603", "EQ604", "EQ605", "EQ606", "EQ607", "EQ608"),
        *("EQ701", "EQ702", "EQ703", "EQ704"),
    )
    subject: ClassVar[Subject] = "training"
    severity = "warning"
    fault = Fault(
        {
            "head": [
                {"dense": {"units": 16, "activation": "relu"}},
                {"dense": {"units": 5, "activation": "softmax"}},
            ],
            "training.optimizer": {"name": "sgd", "learning_rate": 1000.0},
            "training.epochs": 10,
        }
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """At most one finding."""
        constant = {arm: found for arm, found in evidence.outcome.items() if _is_constant(found)}
        if not constant:
            return
        both = len(constant) == len(evidence.outcome)
        if both and not any(_should_have_learned(found) for found in constant.values()):
            return
        arm, found = next(iter(constant.items()))
        yield self._finding(arm, found, both=both)

    def _finding(self, arm: ArmName, found: Outcome, *, both: bool) -> Finding:
        assert found.predicted is not None
        assert found.actual is not None
        answer, samples = int(np.argmax(found.predicted)), int(found.actual.sum())
        shares = [round(float(share), 4) for share in found.actual / samples]
        score = shares[answer] if answer < len(shares) else 0.0
        who = "Both arms answer" if both else f"The {arm} arm answers"
        return self.finding(
            "both" if both else arm,
            f"{who} one class for all {samples} validation samples{'' if both else f' (class index {answer})'} after "
            f"{found.epochs} epochs. The share of its class, {score:.4g}, is all the accuracy that such a network can "
            "have; on this set a constant answer scores " + ", ".join(f"{share:.4g}" for share in shares) + ".",
            measured={
                "class_index": answer,
                "validation_samples": samples,
                "accuracy": score,
                "accuracies_of_constant_predictions": shares,
                "training_accuracy_in_inference_mode": found.in_inference,
            },
            expected="a trained network that tells classes apart",
            severity="note" if both else None,
            key="training.optimizer",
        )


def _is_constant(found: Outcome) -> bool:
    """Whether one class is answered where several occur, and that is no accident of a small set."""
    if found.predicted is None or found.actual is None or np.count_nonzero(found.predicted) != 1:
        return False
    samples = int(found.actual.sum())
    shares = found.actual / samples
    return bool((shares**samples).sum() < _CHANCE)


def _should_have_learned(found: Outcome) -> bool:
    error = sqrt(found.constant * (1 - found.constant) / found.samples)
    return found.epochs >= _EPOCHS or found.in_inference - found.constant > _STANDARD_ERRORS * error
