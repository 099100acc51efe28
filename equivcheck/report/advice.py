"""What came of following advice, in words; how it looks is the renderers'."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.curve_gap import METRIC_NAMES
from equivcheck.report.numbers import ABSENT, metric_share, metric_value
from equivcheck.report.prose import counted, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from equivcheck.measured import WhatIf

HEADING = "What if: advice, followed"

#: What a table of them tells.
HEADERS = ("advice", "effect", "gap then", "smaller by", "95 % interval", "frozen arm then")

_EFFECTS: Mapping[str, str] = {"helps": "helps", "none": "no effect", "worse": "makes it worse", "unknown": "not known"}


def subject(found: Sequence[WhatIf]) -> str:
    """What the table tells: ``Final validation accuracy, mean over 5 seeds; the gap as declared is -46.9 pp.``."""
    first = next((each for each in found if each["gap"] is not None), None)
    if first is None or first["gap"] is None:
        return "None could be followed."
    metric, times = METRIC_NAMES.get(first["metric"], first["metric"]), first["repetitions"]
    seeds = f", mean over {times} seeds" if times > 1 else ""
    declared = first["frozen_declared"]
    ends = "" if declared is None else f"; the frozen arm ends at {metric_value(first['metric'], declared)}"
    return (
        f"Both arms trained as each advice says, it alone: final {metric}{seeds}. The gap as declared, frozen minus "
        f"bottleneck, is {metric_share(first['metric'], first['gap'])}{ends}."
    )


def cells(found: WhatIf) -> tuple[str, ...]:
    """One row of the table."""
    metric, low, high = found["metric"], found["low"], found["high"]
    return (
        found["advice"],
        "not beyond chance" if found["effect"] == "none" and found["closed"] else _EFFECTS[found["effect"]],
        _told(metric, found["gap_then"]),
        _told(metric, found["closed"]),
        ABSENT if low is None or high is None else f"{metric_share(metric, low)} to {metric_share(metric, high)}",
        ABSENT if found["frozen"] is None else metric_value(metric, found["frozen"]),
    )


def remarks(found: Sequence[WhatIf]) -> list[str]:
    """A sentence or two an advice: which errors it undoes, which it brings, and what was not tried."""
    return [f"{each['advice']}: {said}" for each in found if (said := _remark(each))]


def _remark(found: WhatIf) -> str:
    if found["missing"]:
        return f"not followed: {found['missing']}."
    said = [f"{listed(found['gone'])} {'is' if len(found['gone']) == 1 else 'are'} gone"] if found["gone"] else []
    said += [f"{listed(found['new'])} {'is' if len(found['new']) == 1 else 'are'} new"] if found["new"] else []
    if not said:
        said = ["no error that was found goes away"]
    by = f" Advised by: {found['source']}." if found["source"] else ""
    few = f" This rests on {counted(found['repetitions'], 'training')}." if found["low"] is None else ""
    return f"{'; '.join(said)}.{few}{by}"


def _told(metric: str, value: float | None) -> str:
    return ABSENT if value is None else metric_share(metric, value)
