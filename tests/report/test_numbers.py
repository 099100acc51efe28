from __future__ import annotations

import math

import numpy as np
import pytest

from equivcheck.report.numbers import MINUS, measured, metric_share, metric_value, number, percent, points


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (0.0, "0"), (-0.0, "0"), (24, "24"), (21802784, "21,802,784"), (1.0, "1.00"), (0.87412, "0.874")),
        *((0.9996, "1.00"), (12.345, "12.3"), (1234.5, "1,234"), (1e-7, "1e-07"), (1.1920929e-07, "1.19e-07")),
        *((2.5e9, "2.5e+09"), (-0.25, f"{MINUS}0.250"), (-3e-9, f"{MINUS}3e-09"), (math.nan, "NaN")),
        *((math.inf, "infinity"), (-math.inf, f"{MINUS}infinity")),
    ],
)
def test_three_significant_digits(value, text):
    assert number(value) == text


def test_percent_and_points():
    assert percent(0.969) == "96.9 %"
    assert percent(math.nan) == "NaN"
    assert points(-31.7) == f"{MINUS}31.7 pp"
    assert points(4) == "+4.0 pp"
    assert points(-0.04) == "0.0 pp"
    assert points(math.nan) == "NaN pp"


def test_unit_follows_the_metric():
    assert metric_value("val_accuracy", 0.5) == "50.0 %"
    assert metric_value("loss", 0.5) == "0.500"
    assert metric_share("val_accuracy", -9.4) == f"{MINUS}9.4 pp"
    assert metric_share("val_loss", 0.42) == "+0.420"


def test_measured_is_compact():
    values = {
        "max_rel": np.float32(0.5),
        "ok": True,
        "none": None,
        "ids": [1, 2],
        "empty": [],
        "by": {"a": 1, "b": 2.0},
    }
    assert measured(values) == ("max rel: 0.500 · ok: yes · none: unknown · ids: 1, 2 · empty: none · by: a 1; b 2.00")
    assert measured({"x": np.arange(100)}) == "x: 100 values from 0 to 99"
    assert measured({"x": list("abcdefgh")}) == "x: a, b, c, d, e, f and 2 more"
