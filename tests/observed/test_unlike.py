"""A log that is not of the training that its spec describes."""

from __future__ import annotations

import pytest

from equivcheck.measured import ObservedLog
from equivcheck.observed import Declared, unlike

DECLARED = Declared(epochs=30, batches=4, samples=16, validated=8)


def log(**told):
    return ObservedLog("a.log", "console", (1,), {"loss": (1.0,)}, {"loss": (0.0,)}, **told)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, ()),
        ({"planned_epochs": 30, "training_samples": 16, "validation_samples": 8, "steps": (4,)}, ()),
        ({"steps": (16,)}, ()),  # older Keras counted samples
        ({"steps": (31,)}, ("with bars of 31, in the spec 4",)),
        ({"steps": (31, 4)}, ()),  # which of its bars is meant is not known
        (
            {"planned_epochs": 50, "training_samples": 17, "validation_samples": 1424},
            (
                "of 50 epochs, in the spec 30",
                "on 17 samples an epoch, in the spec 16",
                "validated on 1424 samples, in the spec 8",
            ),
        ),
    ],
)
def test_what_is_said(told, expected):
    assert unlike(log(**told), DECLARED) == expected


def test_what_only_code_knows_is_not_compared():
    assert unlike(log(planned_epochs=50), Declared(None, 4, 16, None)) == ()
    assert unlike(log(validation_samples=8), Declared(30, 4, 16, None)) == ("validated on 8 samples, in the spec none",)
