"""Checks of logs and of what training came to, on evidence made by hand; nothing is trained here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from equivcheck.catalog import all_checks
from equivcheck.evidence import Evidence, OrderTrace, Outcome
from equivcheck.examine import examine
from equivcheck.measured import ObservedLog

CHECKS = [check for check in all_checks() if check.subject != "arms"]
#: An arm that learned: 100 balanced training samples, 50 validation samples of two classes.
LEARNED = Outcome(
    epochs=20,
    reported=0.95,
    validation=0.9,
    samples=100,
    in_inference=0.96,
    in_training=0.96,
    predicted=np.array([24, 26]),
    actual=np.array([25, 25]),
    constant=0.5,
)
CONSTANT = replace(LEARNED, validation=0.5, predicted=np.array([0, 50]))


def judged(bottleneck=None, frozen=None, **logs):
    outcome = {arm: found for arm, found in (("bottleneck", bottleneck), ("frozen", frozen)) if found is not None}
    return examine(replace(Evidence.of_logs(logs), outcome=outcome), CHECKS)


def codes(said):
    return [(finding.code, finding.arm, finding.severity) for finding in said.findings]


def log(steps=(), validation_samples=None, rounding=5e-5, **metrics):
    length = len(next(iter(metrics.values())))
    errors = dict.fromkeys(metrics, (rounding,) * length)
    return ObservedLog(
        "x.log", "console", tuple(range(1, length + 1)), metrics, errors, steps, validation_samples=validation_samples
    )


def test_arms_that_learned_are_silent():
    said = judged(LEARNED, LEARNED)
    assert (said.findings, said.cleared, said.failed) == ((), (), ())


def test_without_training_and_without_logs_nothing_is_judged():
    said = judged()
    assert said.findings == ()
    assert {skipped.code: skipped.reason for skipped in said.skipped} == {
        "EQ801": "the arms were not trained",
        "EQ802": "the arms were not trained",
        "EQ803": "the spec gives no observed curves",
        "EQ804": "the spec gives no observed curves",
    }


def test_a_head_that_only_works_in_training_mode():
    lagging = replace(LEARNED, in_inference=0.2, in_training=0.95)
    both = judged(lagging, lagging)
    assert codes(both) == [("EQ801", "both", "warning")]
    assert both.findings[0].measured["frozen_accuracy_in_inference_mode"] == 0.2
    assert codes(judged(LEARNED, lagging)) == [("EQ801", "frozen", "warning")]


def test_dropout_in_the_head_is_cleared():
    """Training accuracy far below validation: what beginners take for underfitting."""
    dropping = replace(LEARNED, reported=0.6, in_training=0.62)
    said = judged(dropping, dropping)
    assert said.findings == ()
    (cleared,) = said.cleared
    assert cleared.code == "EQ801"
    assert "layers that are random in fit" in cleared.message
    assert cleared.measured["bottleneck_reported_accuracy"] == 0.6


def test_the_average_over_an_early_epoch_is_cleared():
    (cleared,) = judged(replace(LEARNED, epochs=1, reported=0.5), LEARNED).cleared
    assert "average over the epoch" in cleared.message


@pytest.mark.parametrize(
    "outcome",
    [
        replace(LEARNED, in_training=0.99, in_inference=0.96),  # within chance of a hundred samples
        replace(LEARNED, samples=8, in_training=0.875, in_inference=0.5),  # eight samples tell little
        replace(LEARNED, reported=None),  # a model without accuracy
    ],
)
def test_small_differences_between_the_modes_are_not_mentioned(outcome):
    said = judged(outcome, outcome)
    assert (said.findings, said.cleared) == ((), ())


def test_one_arm_that_answers_one_class():
    said = judged(LEARNED, CONSTANT)
    assert codes(said) == [("EQ802", "frozen", "warning")]
    measured = said.findings[0].measured
    assert (measured["class_index"], measured["accuracy"]) == (1, 0.5)
    assert measured["accuracies_of_constant_predictions"] == [0.5, 0.5]


def test_two_arms_that_answer_one_class_agree_and_learned_nothing():
    assert codes(judged(CONSTANT, CONSTANT)) == [("EQ802", "both", "note")]


def test_the_class_may_not_occur_at_all():
    strange = replace(CONSTANT, predicted=np.array([0, 0, 0, 50]))
    assert judged(LEARNED, strange).findings[0].measured["accuracy"] == 0.0


@pytest.mark.parametrize(
    "change",
    [
        {"predicted": np.array([1, 49])},  # not constant
        {"actual": np.array([0, 50])},  # one class only
        {"actual": np.array([1, 49])},  # a good network may miss the one
        {"predicted": np.array([0, 4]), "actual": np.array([2, 2])},  # four samples: luck
        {"predicted": None, "actual": None},  # no validation
    ],
)
def test_what_is_no_constant_prediction(change):
    assert judged(LEARNED, replace(CONSTANT, **change)).findings == ()


def test_two_arms_that_have_hardly_been_trained_are_left_alone():
    """One epoch on noise: both still answer what they began with, in training as well."""
    young = replace(CONSTANT, epochs=1, in_inference=0.5, in_training=0.5)
    assert judged(young, young).findings == ()
    learned = replace(young, in_inference=0.9, in_training=0.9)
    assert codes(judged(learned, learned)) == [("EQ802", "both", "note")]


def test_a_log_is_compared_with_the_live_validation_set():
    evidence = Evidence.of_logs({"frozen": log(val_accuracy=(0.5, 0.3333))})
    order = OrderTrace((np.arange(8),), (np.arange(8) % 2,), ((8,),), available=8)
    live = replace(evidence, frozen=replace(evidence.frozen, validation=order))
    assert codes(examine(live, CHECKS)) == [("EQ803", "frozen", "warning")]
    assert codes(examine(evidence, CHECKS)) == []


@pytest.mark.parametrize(
    "found",
    [
        log(val_accuracy=(0.5, 0.25, 0.875, 1.0), validation_samples=8),
        log(val_accuracy=(0.33, 0.5), validation_samples=8, rounding=0.5),  # printed too coarsely
        log(val_accuracy=(float("nan"), 0.5), validation_samples=8),
        log(val_loss=(0.3333, 0.1), validation_samples=8),
        log(val_accuracy=(33.33, 50.0), validation_samples=8),  # percent
        log(accuracy=(0.3333, 0.6667), validation_samples=8),  # of training
    ],
)
def test_what_is_possible_is_not_mentioned(found):
    assert codes(_of(found)) == []


def _of(found):
    return examine(Evidence.of_logs({"frozen": found}), CHECKS)


def test_progress_bars_of_batches_are_not_taken_for_samples():
    """Ten and five batches of other sizes; the training accuracies are of 80 samples."""
    accuracy = tuple(round(hits / 80, 4) for hits in (13, 37, 51, 77))
    one, other = log(accuracy=accuracy, steps=(10,)), log(accuracy=accuracy, steps=(5,))
    assert codes(examine(Evidence.of_logs({"bottleneck": one, "frozen": other}), CHECKS)) == []


def test_progress_bars_of_samples_that_differ():
    one = log(accuracy=(0.4375, 0.8125), steps=(16,))
    other = log(accuracy=(0.7083, 0.75), steps=(24,))
    assert codes(examine(Evidence.of_logs({"bottleneck": one, "frozen": other}), CHECKS)) == [
        ("EQ803", "both", "warning")
    ]


def test_a_repetition_without_a_window_is_told_as_one():
    """Weights that swing between two states."""
    said = _of(log(val_accuracy=(0.91, 0.37) * 12))
    (finding,) = said.findings
    assert finding.code == "EQ804"
    assert "window_samples" not in finding.measured
    assert "or the weights swing" in finding.message
