"""The curves that the user already had, as their files tell them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from equivcheck.measured import Curve
from equivcheck.report.curve_gap import METRIC_NAMES
from equivcheck.report.numbers import ABSENT, is_accuracy, metric_value, number
from equivcheck.report.terminal.curves import drawing, legend

if TYPE_CHECKING:
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page

_ARMS = ("bottleneck", "frozen")


def observed(page: Page, report: Report) -> None:
    """Writes the observed accuracies over each other, and a row of facts for each file."""
    logs = {arm: log for arm in _ARMS if isinstance(log := report.observed.get(arm), Mapping)}
    if not logs:
        return
    page.heading("Curves that you already have")
    page.paragraph(" · ".join(legend(logs)), "dim")
    page.blank()
    told = tuple(curve for arm, log in logs.items() for curve in _curves(arm, log))
    for metric in METRIC_NAMES:
        if is_accuracy(metric) and (text := drawing(page, told, metric)):
            page.write(text)
            page.blank()
    table = page.table("", *logs)
    for label, fact in _FACTS.items():
        table.add_row(page.prose(label), *(page.name(fact(log)) for log in logs.values()))
    for metric, name in METRIC_NAMES.items():
        if any(metric in log["metrics"] for log in logs.values()):
            table.add_row(page.prose(f"final {name}"), *(page.prose(_final(log, metric)) for log in logs.values()))
    page.write(table)


def _curves(arm: str, log: Mapping[str, Any]) -> list[Curve]:
    """A value for every epoch; those that the file leaves out are holes."""
    found = []
    for metric, values in log["metrics"].items():
        told = dict(zip(log["epochs"], values, strict=True))
        column = (told.get(epoch) for epoch in range(1, max(log["epochs"]) + 1))
        found.append(Curve(arm, metric, tuple(math.nan if value is None else float(value) for value in column)))
    return found


def _final(log: Mapping[str, Any], metric: str) -> str:
    values = [value for value in log["metrics"].get(metric, ()) if value is not None]
    return metric_value(metric, float(values[-1])) if values else ABSENT


def _epochs(log: Mapping[str, Any]) -> str:
    planned = log.get("planned_epochs")
    return number(len(log["epochs"])) + (f" of {planned}" if planned else "")


def _known(key: str) -> Any:
    def fact(log: Mapping[str, Any]) -> str:
        value = log.get(key)
        return ABSENT if value is None else number(value)

    return fact


def _seconds(log: Mapping[str, Any]) -> str:
    known = sorted(float(value) for value in log["seconds"] if value is not None)
    return number(known[len(known) // 2]) if known else ABSENT


#: What is told of each file.
_FACTS = {
    "file": lambda log: PurePath(log["source"]).name,
    "format": lambda log: str(log["format"]),
    "epochs": _epochs,
    "length of the progress bar": lambda log: ", ".join(map(str, log["steps"])) or ABSENT,
    "seconds an epoch (median)": _seconds,
    "validation samples, as told": _known("validation_samples"),
    "validation samples, at least": _known("smallest_possible_validation_samples"),
    "repeats after epochs": _known("period_epochs"),
}
