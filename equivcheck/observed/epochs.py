"""From single epochs to curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from equivcheck.measured import LeftOut, ObservedLog
from equivcheck.observed.numerals import Numeral


@dataclass
class Epoch:
    """One epoch while its file is being read.

    Attributes:
        number: Counted from 1.
        line: Line of the file where it begins.
        values: Metric -> what was printed last.
        step: How far its progress bar came.
        total: Length of that bar; None where there was none.
        seconds: How long it took, where that is told.
        ended: Line that told its validation metrics.
    """

    number: int
    line: int
    values: dict[str, Numeral] = field(default_factory=dict)
    step: int = 0
    total: int | None = None
    seconds: float = math.nan
    ended: int | None = None

    @property
    def validated(self) -> bool:
        """Whether its validation metrics are known, so that it is over."""
        return any(name.startswith("val_") for name in self.values)


def log_of(
    epochs: Sequence[Epoch],
    source: str,
    kind: Literal["console", "csv", "history"],
    *,
    planned_epochs: int | None = None,
    samples: tuple[int | None, int | None] = (None, None),
    left_out: Sequence[LeftOut] = (),
) -> ObservedLog:
    """Epochs as curves.

    Args:
        epochs: At least one, in order.
        source: Name of the file.
        kind: Its format.
        planned_epochs: Epochs that were asked for.
        samples: Training and validation samples that the file speaks of.
        left_out: What is on no curve, in any order.
    """
    names = dict.fromkeys(name for epoch in epochs for name in epoch.values)
    missing = Numeral(math.nan, 0.0)
    columns: Mapping[str, list[Numeral]] = {
        name: [epoch.values.get(name, missing) for epoch in epochs] for name in names
    }
    return ObservedLog(
        source=source,
        format=kind,
        epochs=tuple(epoch.number for epoch in epochs),
        metrics={name: tuple(each.value for each in column) for name, column in columns.items()},
        rounding={name: tuple(each.rounding for each in column) for name, column in columns.items()},
        steps=tuple(dict.fromkeys(epoch.total for epoch in epochs if epoch.total is not None)),
        seconds=tuple(epoch.seconds for epoch in epochs),
        planned_epochs=planned_epochs,
        training_samples=samples[0],
        validation_samples=samples[1],
        left_out=_grouped(left_out),
    )


def _grouped(left_out: Sequence[LeftOut]) -> tuple[LeftOut, ...]:
    """Lines that follow one another for one reason as one: a bar may be drawn in a hundred lines."""
    found: list[LeftOut] = []
    for each in sorted(left_out, key=lambda one: (one.first, one.why)):
        if found and found[-1].why == each.why and each.first <= found[-1].last + 1:
            found[-1] = replace(found[-1], last=max(found[-1].last, each.last))
        else:
            found.append(each)
    return tuple(found)
