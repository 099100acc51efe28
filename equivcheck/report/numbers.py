"""Numbers as people read them: three significant digits, percent, percentage points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MINUS = "\N{MINUS SIGN}"

#: Stands in a table where there is no value.
ABSENT = "\N{EN DASH}"

#: Longer lists of numbers are told by their range.
_LISTED = 6


def number(value: float) -> str:
    """Three significant digits (``0.874``, ``1.19e-07``); whole numbers in full (``21,802,784``)."""
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinity" if value > 0 else f"{MINUS}infinity"
    if value == 0:
        return "0"
    # The exponent after rounding to three digits, so that 0.9996 reads 1.00 and not 1.000.
    exponent = int(f"{value:.2e}".partition("e")[2])
    text = f"{value:,.{max(0, 2 - exponent)}f}" if -3 <= exponent < 6 else f"{value:.3g}"  # noqa: PLR2004
    return text.replace("-", MINUS, 1) if value < 0 else text


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, as one says it: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def percent(fraction: float) -> str:
    """A fraction as ``96.9 %``."""
    return f"{100 * fraction:.1f} %" if math.isfinite(fraction) else number(fraction)


def points(difference: float, unit: str = "pp") -> str:
    """A signed difference of percentages, ``-31.7 pp``; what rounds to zero has no sign."""
    if not math.isfinite(difference):
        return f"{number(difference)} {unit}"
    text = f"{difference:+.1f}"
    return f"{'0.0' if float(text) == 0 else text.replace('-', MINUS)} {unit}"


def is_accuracy(metric: str) -> bool:
    """Whether a metric lies in [0, 1] and is told in percent."""
    return metric.endswith("accuracy")


def metric_value(metric: str, value: float) -> str:
    """One value of a curve: accuracies in percent, others as numbers."""
    return percent(value) if is_accuracy(metric) else number(value)


def metric_share(metric: str, share: float, unit: str = "pp") -> str:
    """A share of a gap: percentage points for accuracies, else a signed number in the metric's own unit."""
    if is_accuracy(metric):
        return points(share, unit)
    return f"{'+' if share > 0 else ''}{number(float(share))}"


def measured(values: Mapping[str, Any]) -> str:
    """Named measurements in one line: ``layers: 20 · max rel: 0.874``."""
    return " · ".join(f"{name.replace('_', ' ')}: {_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    if hasattr(value, "tolist"):
        return _value(value.tolist())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_value(item)}" for name, item in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _list(value)
    return str(value)


def _list(values: Sequence[Any]) -> str:
    if len(values) <= _LISTED:
        return ", ".join(map(_value, values)) or "none"
    if all(isinstance(value, (int, float)) and math.isfinite(value) for value in values):
        return f"{len(values)} values from {number(min(values))} to {number(max(values))}"
    return f"{', '.join(map(_value, values[:_LISTED]))} and {len(values) - _LISTED} more"
