"""What curves are called, whatever shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.curve_gap import values_of
from equivcheck.report.numbers import ABSENT, metric_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from equivcheck.measured import Curve

#: The curves that are drawn; those of single repairs are told by their last value only.
DRAWN: Mapping[str, str] = {"bottleneck": "bottleneck", "frozen": "frozen", "repaired": "frozen, all repaired"}


#: No loss that means something is larger, and differences of larger numbers overflow.
_LARGEST = 1e150


def drawable(value: float) -> bool:
    """Whether a value has a place in a drawing; NaN and infinity have none, and leave a hole."""
    return abs(value) <= _LARGEST


def name_of(arm: str) -> str:
    """``frozen, all repaired``; of counterfactuals ``only EQ402 repaired``."""
    return DRAWN.get(arm, f"only {arm} repaired")


def final(curves: Sequence[Curve], arm: str, metric: str) -> str:
    """The last value of a curve, or a dash."""
    values = values_of(curves, arm, metric)
    return metric_value(metric, values[-1]) if values else ABSENT
