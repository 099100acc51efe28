"""Several logs of one training as one: a file a phase."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import PurePath

from equivcheck.measured import ObservedLog

Columns = Mapping[str, tuple[float, ...]]


def joined(logs: Sequence[ObservedLog]) -> ObservedLog:
    """The logs one behind the other; each file's epochs count on from the ones that the file before planned.

    Args:
        logs: At least one, in order.
    """
    if len(logs) == 1:
        return logs[0]
    lengths = [log.planned_epochs or max(log.epochs) for log in logs]
    starts = [0, *accumulate(lengths[:-1])]
    planned = [log.planned_epochs for log in logs]
    names = list(dict.fromkeys(name for log in logs for name in log.metrics))
    return ObservedLog(
        source=", ".join(log.source for log in logs),
        format=logs[0].format,
        epochs=tuple(start + epoch for start, log in zip(starts, logs, strict=True) for epoch in log.epochs),
        metrics={name: _column([(log.metrics, len(log.epochs)) for log in logs], name, math.nan) for name in names},
        rounding={name: _column([(log.rounding, len(log.epochs)) for log in logs], name, 0.0) for name in names},
        steps=tuple(dict.fromkeys(step for log in logs for step in log.steps)),
        seconds=tuple(seconds for log in logs for seconds in log.seconds or (math.nan,) * len(log.epochs)),
        planned_epochs=None if None in planned else sum(lengths),
        training_samples=next((log.training_samples for log in logs if log.training_samples is not None), None),
        left_out=tuple(
            replace(each, why=f"{each.why} ({PurePath(log.source).name})") for log in logs for each in log.left_out
        ),
        validation_samples=next((log.validation_samples for log in logs if log.validation_samples is not None), None),
    )


def _column(parts: Sequence[tuple[Columns, int]], name: str, missing: float) -> tuple[float, ...]:
    return tuple(value for columns, count in parts for value in columns.get(name, (missing,) * count))
