"""Where two observed trainings part."""

from __future__ import annotations

import math
from dataclasses import dataclass

from equivcheck.measured import ObservedLog

#: The telling one first.
_COMPARED = ("val_accuracy", "accuracy", "val_loss", "loss")


@dataclass(frozen=True, slots=True)
class Parting:
    """One metric of both arms in the epochs that both tell of.

    Attributes:
        metric: Such as ``val_accuracy``.
        epochs: How many epochs both tell of.
        first_epoch: First epoch in which they differ by more than printing explains; None where none does.
        bottleneck: The bottleneck arm's value in that epoch, else in the last one.
        frozen: The frozen arm's.
        widest: Largest difference, frozen minus bottleneck.
        widest_epoch: Its epoch.
    """

    metric: str
    epochs: int
    first_epoch: int | None
    bottleneck: float
    frozen: float
    widest: float
    widest_epoch: int


def partings(bottleneck: ObservedLog, frozen: ObservedLog) -> tuple[Parting, ...]:
    """One entry for each of the four metrics that both logs tell of, in common epochs."""
    found = (_parting(metric, bottleneck, frozen) for metric in _COMPARED)
    return tuple(each for each in found if each is not None)


def _parting(metric: str, bottleneck: ObservedLog, frozen: ObservedLog) -> Parting | None:
    left, right = _points(bottleneck, metric), _points(frozen, metric)
    common = [epoch for epoch in left if epoch in right]
    if not common:
        return None
    gaps = {epoch: right[epoch][0] - left[epoch][0] for epoch in common}
    apart = [epoch for epoch in common if not _alike(left[epoch], right[epoch])]
    widest = max(common, key=lambda epoch: math.inf if math.isnan(gaps[epoch]) else abs(gaps[epoch]))
    shown = apart[0] if apart else common[-1]
    return Parting(
        metric, len(common), apart[0] if apart else None, left[shown][0], right[shown][0], gaps[widest], widest
    )


def _points(log: ObservedLog, metric: str) -> dict[int, tuple[float, float]]:
    """Epoch -> value and rounding. Where an epoch has no value, it is left out; NaN cannot be told from that."""
    values, rounding = log.metrics.get(metric, ()), log.rounding.get(metric, ())
    return {
        epoch: (value, error)
        for epoch, value, error in zip(log.epochs, values, rounding, strict=False)
        if not math.isnan(value)
    }


def _alike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] == other[0] or abs(one[0] - other[0]) <= one[1] + other[1]
