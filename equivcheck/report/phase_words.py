"""The phases of a training in words, and where they stand on the curves."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from equivcheck.report.curve_gap import METRIC_NAMES, values_of
from equivcheck.report.numbers import ABSENT, is_accuracy, metric_value
from equivcheck.report.prose import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equivcheck.measured import PhaseSpan
    from equivcheck.report.model import Report

_ARMS = ("bottleneck", "frozen")


def in_phases(names: Sequence[str]) -> str:
    """``, in phase block5``; empty where there is only one phase."""
    if not names:
        return ""
    return f", in phase{'s' if len(names) > 1 else ''} {listed(list(names))}"


def marks(phases: Sequence[PhaseSpan]) -> list[tuple[float, str]]:
    """Where each phase but the first begins, half an epoch before its first, and what to write there."""
    starts: dict[tuple[float, str], set[str]] = {}
    for arm in _ARMS:
        counts = [getattr(phase, arm) or 0 for phase in phases]
        for phase, before in zip(phases[1:], accumulate(counts), strict=False):
            if before and getattr(phase, arm):
                starts.setdefault((before + 0.5, phase.name), set()).add(arm)
    names = [name for _, name in starts]
    return sorted(
        (place, name if names.count(name) == 1 else f"{name} ({min(arms)})") for (place, name), arms in starts.items()
    )


def ends(report: Report) -> list[tuple[str, str, str, list[str]]]:
    """The last values of each phase: its name, its epochs, the arm, and one value for each of ``end_metrics``."""
    rows = []
    for arm in _ARMS:
        before = 0
        for phase in report.phases:
            count = getattr(phase, arm)
            if not count:
                continue
            curves = (values_of(report.curves, arm, metric) for metric in end_metrics(report))
            values = [curve[before : before + count] for curve in curves]
            told = [
                metric_value(metric, each[-1]) if each else ABSENT
                for metric, each in zip(end_metrics(report), values, strict=True)
            ]
            rows.append((phase.name, epochs(before + 1, before + count), arm, told))
            before += count
    return sorted(rows, key=lambda row: [phase.name for phase in report.phases].index(row[0]))


def end_metrics(report: Report) -> list[str]:
    """The accuracies that there are; where there are none, the losses."""
    there = [metric for metric in METRIC_NAMES if any(curve.metric == metric for curve in report.curves)]
    return [metric for metric in there if is_accuracy(metric)] or there


def epochs(first: int, last: int) -> str:
    """``epochs 26-125``."""
    return f"epoch {first}" if first == last else f"epochs {first}\N{EN DASH}{last}"


def differing(report: Report) -> list[tuple[str, str, str, str]]:
    """Of each phase its name, what the frozen arm moves, its layers on batch statistics, and where the arms part."""
    return [
        (
            phase.name,
            f"{phase.moved:,}",
            str(phase.batch_statistics),
            phase.first_divergence.training or "nowhere",
        )
        for phase in report.phases
    ]
