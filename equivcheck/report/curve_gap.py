"""How far apart the two arms' curves end, and how far apart they ever were."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equivcheck.measured import Curve

#: Metric -> what people call it, the telling one first.
METRIC_NAMES = {
    "val_accuracy": "validation accuracy",
    "accuracy": "training accuracy",
    "val_loss": "validation loss",
    "loss": "training loss",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """One metric of both arms.

    Attributes:
        metric: Such as ``val_accuracy``.
        epochs: Epochs that both arms trained.
        bottleneck: Final value in the bottleneck arm.
        frozen: Final value in the frozen arm.
        widest: Largest difference in any epoch, frozen minus bottleneck.
        widest_epoch: Its epoch, counted from 1.
    """

    metric: str
    epochs: int
    bottleneck: float
    frozen: float
    widest: float
    widest_epoch: int

    @property
    def final(self) -> float:
        """Final difference, frozen minus bottleneck."""
        return self.frozen - self.bottleneck


def values_of(curves: Sequence[Curve], arm: str, metric: str) -> tuple[float, ...]:
    """The curve of one arm and metric; empty where there is none."""
    return next((curve.values for curve in curves if (curve.arm, curve.metric) == (arm, metric)), ())


def gap(curves: Sequence[Curve], metric: str) -> Gap | None:
    """The gap of one metric; None where one arm has no such curve."""
    bottleneck, frozen = (values_of(curves, arm, metric) for arm in ("bottleneck", "frozen"))
    if not bottleneck or not frozen:
        return None
    differences = [f - b for b, f in zip(bottleneck, frozen, strict=False)]
    widest = max(range(len(differences)), key=lambda epoch: _size(differences[epoch]))
    return Gap(metric, len(differences), bottleneck[-1], frozen[-1], differences[widest], widest + 1)


def headline(curves: Sequence[Curve]) -> Gap | None:
    """The gap that a heading tells: of validation accuracy, else of training accuracy; None where there is neither."""
    return next((found for metric in ("val_accuracy", "accuracy") if (found := gap(curves, metric))), None)


def _size(difference: float) -> float:
    """NaN counts as the widest: a training that broke differs from one that did not."""
    return math.inf if math.isnan(difference) else abs(difference)
