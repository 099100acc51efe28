"""Curves as the numbers of an SVG drawing; the template only writes them down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from equivcheck.report.curve_gap import METRIC_NAMES, values_of
from equivcheck.report.curve_names import DRAWN, drawable
from equivcheck.report.numbers import is_accuracy, metric_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from equivcheck.measured import Curve

#: The drawing, in its own units; the page scales it.
WIDTH, HEIGHT = 480, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 14, 12, 40

#: Points of a curve that are drawn: more than the drawing has room for are thinned out.
_MOST_POINTS = 200

#: Up to here each value has a mark, and says itself where the pointer rests.
_MARKED = 40

_MOST_EPOCH_TICKS = 8
_VALUE_TICKS = 5


@dataclass(frozen=True, slots=True)
class Mark:
    """One value of a curve."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One curve: which arm it belongs to, its name, the path, and a mark a value where they are few."""

    arm: str
    name: str
    path: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """One metric of all arms.

    Attributes:
        title: What the metric is called.
        description: What the drawing shows, for those who do not see it.
        lines: The curves; those that are drawn later lie above.
        epochs: Ticks of the horizontal axis: place and text.
        values: Ticks of the vertical axis.
        phases: Where each phase but the first begins, and what is written there.
    """

    title: str
    description: str
    lines: tuple[Line, ...]
    epochs: tuple[tuple[float, str], ...]
    values: tuple[tuple[float, str], ...]
    phases: tuple[tuple[float, str], ...] = ()
    top: int = _TOP
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    bottom: int = HEIGHT - _BOTTOM


def charts(curves: Sequence[Curve], phases: Sequence[tuple[float, str]] = ()) -> list[Chart]:
    """One drawing for each metric that has a finite value.

    Args:
        curves: What to draw.
        phases: Where in them a phase begins, counted in epochs from 1, and its name.
    """
    return [chart for metric in METRIC_NAMES if (chart := _chart(curves, metric, phases)) is not None]


def legend(drawn: Sequence[Chart]) -> list[tuple[str, str]]:
    """Arm and name of every curve that some drawing has."""
    there = {line.arm for chart in drawn for line in chart.lines}
    return [(arm, name) for arm, name in DRAWN.items() if arm in there]


def _chart(curves: Sequence[Curve], metric: str, phases: Sequence[tuple[float, str]]) -> Chart | None:
    series = {arm: values for arm in DRAWN if (values := values_of(curves, arm, metric))}
    finite = [value for values in series.values() for value in values if drawable(value)]
    if not finite:
        return None
    epochs = max(map(len, series.values()))
    step, low, high = _axis(metric, min(finite), max(finite))

    def x(epoch: float) -> float:
        share = (epoch - 1) / (epochs - 1) if epochs > 1 else 0.5
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 1)

    lines = []
    for arm, values in series.items():
        points = [(x(epoch), y(value)) if drawable(value) else None for epoch, value in _thinned(values)]
        marks = (
            Mark(x(epoch), y(value), f"{DRAWN[arm]}, epoch {epoch}: {metric_value(metric, value)}")
            for epoch, value in enumerate(values, start=1)
            if drawable(value)
        )
        lines.append(Line(arm, DRAWN[arm], _path(points), tuple(marks) if epochs <= _MARKED else ()))
    ticks = [low + step * index for index in range(round((high - low) / step) + 1)]
    return Chart(
        METRIC_NAMES[metric],
        _description(metric, series, epochs) + _begins(phases),
        tuple(lines),
        tuple((x(epoch), str(epoch)) for epoch in _epoch_ticks(epochs)),
        tuple((y(tick), _tick(metric, tick)) for tick in ticks),
        tuple((x(place), name) for place, name in phases),
    )


def _description(metric: str, series: dict[str, tuple[float, ...]], epochs: int) -> str:
    ends = (
        f"{DRAWN[arm]} from {metric_value(metric, values[0])} to {metric_value(metric, values[-1])}"
        for arm, values in series.items()
    )
    return f"{METRIC_NAMES[metric]} over {epochs} epoch{'s' if epochs > 1 else ''}: {'; '.join(ends)}"


def _begins(phases: Sequence[tuple[float, str]]) -> str:
    return "".join(f"; phase {name} from epoch {place + 0.5:g}" for place, name in phases)


def _axis(metric: str, least: float, most: float) -> tuple[float, float, float]:
    """Step, lowest and highest value: round numbers that hold all values; losses begin at zero."""
    if is_accuracy(metric) and least >= 0 and most <= 1:
        low, high = math.floor(10 * least) / 10, math.ceil(10 * most) / 10
        if low == high:
            low, high = (low - 0.1, high) if low > 0 else (low, high + 0.1)
        tenths = round(10 * (high - low))
        step = 0.1 if tenths <= _VALUE_TICKS else 0.2
        low = low if step == 0.1 else math.floor(5 * low + 1e-9) / 5  # noqa: PLR2004
        return step, low, low + step * math.ceil((high - low) / step - 1e-9)
    low, high = min(0.0, least), max(0.0, most)
    # The smallest float would make the step zero.
    step = _round_step(max((high - low) / _VALUE_TICKS, 1e-300))
    low = step * math.floor(low / step)
    return step, low, low + step * max(1, math.ceil((high - low) / step - 1e-9))


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, ... times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((step * power for step in (1, 2, 5) if step * power >= least * (1 - 1e-9)), 10 * power)


def _epoch_ticks(epochs: int) -> list[int]:
    step = max(1, math.ceil(_round_step(epochs / _MOST_EPOCH_TICKS)))
    return [1, *(epoch for epoch in range(step, epochs + 1, step) if epoch > 1)]


def _tick(metric: str, value: float) -> str:
    return f"{100 * value:.0f} %" if is_accuracy(metric) else f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def _thinned(values: Sequence[float]) -> Iterator[tuple[int, float]]:
    """Epoch and value; of a long curve the extremes of each stretch, so that no peak gets lost."""
    numbered = list(enumerate(values, start=1))
    if len(numbered) <= _MOST_POINTS:
        yield from numbered
        return
    length = math.ceil(2 * len(numbered) / _MOST_POINTS)
    for start in range(0, len(numbered), length):
        stretch = numbered[start : start + length]
        known = [point for point in stretch if drawable(point[1])]
        if known:
            ends = {min(known, key=lambda point: point[1]), max(known, key=lambda point: point[1])}
            yield from sorted(ends)
        else:
            yield stretch[0]


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """The points joined; a value that is not finite leaves a hole."""
    told, pen_down = [], False
    for point in points:
        if point is not None:
            told.append(f"{'L' if pen_down else 'M'}{point[0]:g} {point[1]:g}")
        pen_down = point is not None
    return "".join(told)
