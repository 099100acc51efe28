"""The paragraph about curves that the user already has, where there is no model to measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.curve_gap import METRIC_NAMES
from equivcheck.report.numbers import is_accuracy, metric_share, metric_value
from equivcheck.report.prose import counted, listed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from equivcheck.findings import Finding
    from equivcheck.observed import Parting

_NEXT = "To learn the cause, describe the two arms in the spec (equivcheck init writes one) and run the check again."


def summarise_logs(name: str, partings: Sequence[Parting], findings: Sequence[Finding], arms: Collection[str]) -> str:
    """What the logs alone say, in a few plain sentences.

    Args:
        name: Name of the spec.
        partings: Where the curves part, the telling metric first.
        findings: What the logs give away.
        arms: The arms that have a log.
    """
    return " ".join([f"{name}: {_compared(partings, arms)}", *_noticed(findings), _NEXT])


def _compared(partings: Sequence[Parting], arms: Collection[str]) -> str:
    if not partings:
        if len(arms) == 1:
            return f"only the {next(iter(arms))} arm has a log, so there is nothing to compare it with."
        return "the two logs have no metric in common epochs, so they cannot be compared."
    apart = [parting for parting in partings if parting.first_epoch is not None]
    if not apart:
        names = listed([METRIC_NAMES[parting.metric] for parting in partings])
        return f"the two logs agree in every printed digit ({names} over {counted(partings[0].epochs, 'epoch')})."
    first = apart[0]
    return (
        f"the two logs part in epoch {first.first_epoch}, where {METRIC_NAMES[first.metric]} is "
        f"{metric_value(first.metric, first.bottleneck)} (bottleneck) and {metric_value(first.metric, first.frozen)} "
        f"(frozen); they are furthest apart in epoch {first.widest_epoch}, by "
        f"{metric_share(first.metric, _in_unit(first), 'percentage points')}."
    )


def _in_unit(parting: Parting) -> float:
    return 100 * parting.widest if is_accuracy(parting.metric) else parting.widest


def _noticed(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    titles = dict.fromkeys(f"{finding.title[0].lower()}{finding.title[1:]} ({finding.code})" for finding in findings)
    return [f"What they give away: {listed(list(titles))}."]
