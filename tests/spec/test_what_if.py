"""Advice in a spec: each patch is looked at before anything is trained."""

from __future__ import annotations

import pytest

ADVICE = "what_if:\n  - advice: do this\n    patch: "


def test_advice_is_read_as_it_is_written(experiment, valid):
    text = valid + ADVICE + "{backbone.cut: 3, frozen.preprocessing: null}\n    source: a friend\n"
    (found,) = experiment(text).what_if
    assert (found.advice, found.source) == ("do this", "a friend")
    assert found.patch == {"backbone.cut": 3, "frozen.preprocessing": None}


def test_a_spec_without_advice_has_none(experiment, valid):
    assert experiment(valid).what_if == ()
    assert experiment(valid + "what_if: null\n").what_if == ()


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (
            "{training.loss: nonsense}",
            "20:5 what_if.0.patch: makes a spec that is wrong: training.loss: is 'nonsense', which is not known",
        ),
        ("{name: other}", "20:5 what_if.0.patch: changes name, which no arm is made of"),
        ("{what_if: null}", "20:5 what_if.0.patch: changes what_if, which no arm is made of"),
        ("{head.7.dense.units: 3}", "20:5 what_if.0.patch: patch head.7.dense.units: '7' is no item of a list of 2"),
        ("{training.loss: null}", "20:5 what_if.0.patch: makes a spec that is wrong: training.loss: is missing"),
        ("{}", "20:5 what_if.0.patch: is empty"),
        ("3", "20:12 what_if.0.patch: is 3, not a mapping"),
    ],
)
def test_a_patch_that_makes_no_spec_is_refused_where_it_stands(problems, valid, patch, expected):
    (problem,) = problems(valid + ADVICE + patch + "\n")
    assert problem.startswith(expected)


def test_logs_alone_leave_nothing_to_try(problems):
    text = "version: 1\nobserved: {frozen: a.log}\n" + ADVICE + "{backbone.cut: 3}\n"
    assert problems(text) == ["3:1 what_if: needs arms to try it on; this spec describes none"]
