"""The accounting as bars, in thousandths of the width that the page gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from equivcheck.report.accounting import extent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equivcheck.report.accounting import Step

#: A cause without any share still has a place; in thousandths.
_THINNEST = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        x: Where it begins.
        width: How long it is.
        zero: Where nothing is.
        whisker: Both ends of the interval around the bar's end, where there is one.
    """

    x: float
    width: float
    zero: float
    whisker: tuple[float, float] | None


def bars(steps: Sequence[Step]) -> list[Bar | None]:
    """A bar a step, each beginning where the one before ends; None where numbers are not finite."""
    found = extent(steps)
    if found is None:
        return [None] * len(steps)
    low, high = found

    def place(value: float) -> float:
        return round(1000 * (value - low) / (high - low), 1)

    drawn: list[Bar | None] = []
    for step in steps:
        start, end = sorted((place(step.start), place(step.end)))
        width = max(end - start, _THINNEST)
        whisker = (
            (place(step.start + step.interval[0]), place(step.start + step.interval[1])) if step.interval else None
        )
        drawn.append(Bar(min(start, 1000 - width), round(width, 1), place(0.0), whisker))
    return list(drawn)
