"""The paragraph that answers "why do my curves diverge?"."""

from __future__ import annotations

from dataclasses import replace

import pytest

from equivcheck.measured import Curve, FirstDivergence
from equivcheck.report.numbers import MINUS
from equivcheck.report.summary import summarise

ALIKE = FirstDivergence()


def sentences(text):
    return text.count(". ") + 1


def pair(metric, bottleneck, frozen):
    return Curve("bottleneck", metric, bottleneck), Curve("frozen", metric, frozen)


def test_divergent_says_gap_causes_place_harmless_and_first_step(report):
    text = report.summary
    for part in (
        "after 10 epochs validation accuracy is 96.9 %",
        "50.0 %",
        f"{MINUS}46.9 percentage points",
        f"(1) A frozen BatchNormalization normalises with batch statistics (EQ402: {MINUS}31.7 percentage points",
        "(2) Batches hold one class at a time (EQ104",
        "(3) Dropout",
        "agree in every layer in inference; as fit runs them, they first part at backbone/conv2d_1_bn",
        "Measured and harmless: label encoding differs (EQ301)",
        "Start with EQ402: Keep the backbone in inference mode",
        "reached 96.9 % validation accuracy",
    ):
        assert part in text
    assert 3 <= sentences(text) <= 7
    assert "EQ202" not in text, "a warning is no cause"


def test_first_measurement_stands_in_for_an_unknown_share(report):
    findings = [replace(finding, share=None) for finding in report.findings]
    text = summarise("x", "divergent", findings, (), (), ALIKE)
    assert "(EQ402: layers: 20)" in text
    assert "the largest first" not in text
    assert "No pair of curves was trained" in text


def test_a_gap_that_was_not_divided_says_why(report):
    why = "the budget was spent after 1 of 40 replays"
    told = f"How much of the gap each cause makes is not known: {why}."
    assert told in summarise("x", "divergent", report.findings, (), (), ALIKE, undivided=why)
    assert told not in summarise("x", "divergent", report.findings, (), (), ALIKE)


def test_single_cause_many_causes_and_none(report):
    error = next(finding for finding in report.findings if finding.severity == "error")
    assert "The cause is this: Batches hold" in summarise("x", "divergent", [error], (), (), ALIKE)
    assert "There are 6 causes, the largest first: (1)" in summarise("x", "divergent", [error] * 6, (), (), ALIKE)
    assert "; 2 more causes." in summarise("x", "divergent", [error] * 6, (), (), ALIKE)
    assert "No check names a cause" in summarise("x", "divergent", (), (), (), ALIKE)


def test_training_curve_is_told_where_it_parts_further():
    curves = pair("val_accuracy", (1.0,), (0.9937,)) + pair("accuracy", (0.98,), (0.0,))
    text = summarise("x", "divergent", (), (), curves, ALIKE)
    assert "They part further in training accuracy: 98.0 % against 0.0 %." in text


def test_gap_on_the_way_is_told_where_the_ends_agree():
    curves = pair("val_accuracy", (0.9, 1.0, 1.0), (0.5, 0.8, 1.0))
    text = summarise("x", "divergent", (), (), curves, ALIKE)
    assert f"further apart in epoch 1: a difference of {MINUS}40.0 percentage points" in text


def test_first_divergence_in_inference():
    both = FirstDivergence("backbone/a", "backbone/b")
    assert "at backbone/a in inference and at backbone/b as fit runs them" in summarise(
        "x", "divergent", (), (), (), both
    )
    one = FirstDivergence("backbone/a", "backbone/a")
    assert "first part at backbone/a, already in inference" in summarise("x", "divergent", (), (), (), one)


def test_equivalent_says_how_far_they_agree(report):
    same = pair("val_accuracy", (0.5, 0.9), (0.5, 0.9)) + pair("val_loss", (0.7, 0.2), (0.7, 0.2))
    text = summarise("x", "equivalent", (), report.cleared, same, ALIKE)
    assert "agree to the last bit (validation accuracy and validation loss over 2 epochs)" in text
    assert "There is nothing to repair." in text
    assert 3 <= sentences(text) <= 7
    close = pair("loss", (0.7, 0.2), (0.7, 0.2000003))
    assert "differ by at most 3e-07 (training loss" in summarise("x", "equivalent", (), (), close, ALIKE)
    assert "1 warning and 1 note below" in summarise("x", "equivalent", report.findings, (), same, ALIKE)


def test_inconclusive_says_why_and_claims_nothing(report):
    text = summarise("x", "inconclusive", (), (), (), ALIKE, reason="train.py raised ValueError.")
    assert text.startswith("x could not be judged: train.py raised ValueError. ")
    assert "neither that the two arms are equivalent nor that they differ" in text
    assert "No curves were trained." in text
    lonely = summarise("x", "inconclusive", (), (), (Curve("bottleneck", "loss", (1.0,)),), ALIKE)
    assert "Curves exist for bottleneck only." in lonely
    assert 3 <= sentences(lonely) <= 7


@pytest.mark.parametrize(
    ("residual", "told"),
    [
        (0, "nothing is"),
        (1.2e-8, "nothing beyond rounding is"),
        (-3e-8, "nothing beyond rounding is"),
        (0.01, "+0.0100"),
    ],
)
def test_what_is_left_of_a_gap(residual, told):
    found = {
        "metric": "val_loss",
        "gap": 0.0616,
        "residual": residual,
        "repetitions": 5,
        "shares": [],
        "interactions": [],
        "smallest": None,
        "missing": "",
        "curves": [],
    }
    curves = [*pair("val_loss", (0.5,), (0.6,)), *pair("val_accuracy", (0.9,), (0.9,))]
    text = summarise("x", "divergent", [], [], curves, ALIKE, attribution=found)
    assert f"; {told}" in text
