"""What is told of the curves that the user already had, log by log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeGuard

from equivcheck.measured import Curve
from equivcheck.report.numbers import ABSENT, metric_value, number

if TYPE_CHECKING:
    from equivcheck.report.model import Report

_ARMS = ("bottleneck", "frozen")

#: No training is longer, and a curve has a value for every epoch.
_MOST_EPOCHS = 1_000_000

#: Places that are told one by one.
_MOST_TOLD = 6


def logs_of(report: Report) -> dict[str, Mapping[str, Any]]:
    """The logs that there are, by arm; what is no log is left out, for a report file may hold anything there."""
    return {arm: log for arm in _ARMS if _is_log(log := report.observed.get(arm))}


def _is_log(log: Any) -> TypeGuard[Mapping[str, Any]]:
    if not isinstance(log, Mapping) or not isinstance(log.get("metrics"), Mapping):
        return False
    lists = (log.get("epochs"), log.get("steps"), log.get("seconds"), *log["metrics"].values())
    if not all(isinstance(values, list | tuple) for values in lists):
        return False
    epochs, _, seconds, *columns = lists
    return (
        all(type(epoch) is int and 0 < epoch <= _MOST_EPOCHS for epoch in epochs)
        and len(epochs) > 0
        and all(len(values) == len(epochs) for values in columns)
        and all(value is None or isinstance(value, int | float) for values in (seconds, *columns) for value in values)
        and isinstance(log.get("source"), str)
    )


def curves_of(arm: str, log: Mapping[str, Any]) -> list[Curve]:
    """A value for every epoch; those that the file leaves out are holes."""
    found = []
    for metric, values in log["metrics"].items():
        told = dict(zip(log["epochs"], values, strict=True))
        column = (told.get(epoch) for epoch in range(1, max(log["epochs"]) + 1))
        found.append(Curve(arm, metric, tuple(math.nan if value is None else float(value) for value in column)))
    return found


def remarks(log: Mapping[str, Any]) -> list[str]:
    """What the file says that is on no curve, and what it says otherwise than the spec; none in older reports."""
    told = []
    left_out = _listed(log, "left_out")
    for each in left_out[:_MOST_TOLD]:
        if isinstance(each, Mapping) and {"first", "last", "why"} <= each.keys():
            first, last = each["first"], each["last"]
            lines = f"line {first} is" if first == last else f"lines {first} to {last} are"
            told.append(f"{lines} left out: {each['why']}")
    if len(left_out) > _MOST_TOLD:
        told.append(f"{len(left_out) - _MOST_TOLD} places more are left out; a report as JSON lists them")
    if unlike := _listed(log, "unlike_the_spec"):
        told.append(f"the log is of another training than the spec describes: {'; '.join(map(str, unlike))}")
    return told


def _listed(log: Mapping[str, Any], key: str) -> Sequence[Any]:
    return found if isinstance(found := log.get(key), list | tuple) else ()


def final(log: Mapping[str, Any], metric: str) -> str:
    """The last value of a metric, or a dash."""
    values = [value for value in log["metrics"].get(metric, ()) if value is not None]
    return metric_value(metric, float(values[-1])) if values else ABSENT


def _epochs(log: Mapping[str, Any]) -> str:
    planned = log.get("planned_epochs")
    return number(len(log["epochs"])) + (f" of {planned}" if planned else "")


def _known(key: str) -> Any:
    def fact(log: Mapping[str, Any]) -> str:
        value = log.get(key)
        return number(value) if isinstance(value, int | float) else ABSENT

    return fact


def _seconds(log: Mapping[str, Any]) -> str:
    known = sorted(float(value) for value in log["seconds"] if value is not None)
    return number(known[len(known) // 2]) if known else ABSENT


#: What is told of each file.
FACTS = {
    "file": lambda log: PurePath(log["source"]).name,
    "format": lambda log: str(log.get("format")),
    "epochs": _epochs,
    "length of the progress bar": lambda log: ", ".join(map(str, log["steps"])) or ABSENT,
    "seconds an epoch (median)": _seconds,
    "validation samples, as told": _known("validation_samples"),
    "validation samples, at least": _known("smallest_possible_validation_samples"),
    "repeats after epochs": _known("period_epochs"),
}
