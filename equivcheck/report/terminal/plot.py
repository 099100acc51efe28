"""Curves drawn with characters: a letter where a value stands, dots in between."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import plotille

from equivcheck.report.curve_names import drawable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Stands where two or more curves meet in one character.
SEVERAL = "*"

#: A character holds two by four dots.
_DOTS_ACROSS, _DOTS_DOWN = 2, 4


def plot(
    curves: Mapping[str, Sequence[float]],
    limits: tuple[float, float],
    size: tuple[int, int],
    label: Callable[[float], str],
    *,
    ascii_only: bool,
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """Draws some curves over the epochs.

    Args:
        curves: One letter for each curve, and its values; those that are not finite leave a hole.
        limits: Lowest and highest value of the axis.
        size: Columns and lines of the whole drawing, axes included.
        label: Writes one value at the axis.
        ascii_only: Draw no Braille dots between the letters.
        marks: Upright lines: the epoch, counted from 1, and what is written below; it begins at the line.

    Returns:
        The lines, joined.
    """
    low, high = limits
    epochs = max(map(len, curves.values()))
    labels = {height: label(value) for height, value in ((1.0, high), (0.5, (low + high) / 2), (0.0, low))}
    margin = max(map(len, labels.values()))
    columns, lines = max(8, size[0] - margin - 2), size[1] - 2

    def cell(epoch: int, value: float) -> tuple[int, int]:
        across = round(epoch / max(1, epochs - 1) * (columns - 1))
        return across, round((value - low) / (high - low) * (lines - 1))

    places = [round((epoch - 1) / max(1, epochs - 1) * (columns - 1)) for epoch, _ in marks]
    upright = ":" if ascii_only else "┊"
    drawing = [
        f"{labels[height] if (height := _tick(line, lines)) is not None else '':>{margin}} "
        f"{'┤' if height is not None else '│'}{_upright(text, places, upright)}"
        for line, text in zip(
            range(lines - 1, -1, -1), _canvas(curves, cell, columns, lines, ascii_only=ascii_only), strict=True
        )
    ]
    last = f"epoch {epochs}" if epochs > 1 else ""
    return "\n".join(
        [
            *drawing,
            f"{'':{margin}} └{'─' * columns}",
            f"{'':{margin + 2}}{'epoch 1':<{max(0, columns - len(last))}}{last}",
            *_labels(places, [f"{upright} {text}" for _, text in marks], margin + 2, columns),
        ]
    )


def _upright(text: str, places: Sequence[int], line: str) -> str:
    """A line of the canvas with what stands upright in it, behind whatever is drawn there."""
    cells = list(text)
    for place in places:
        cells += " " * (place + 1 - len(cells))
        cells[place] = line if cells[place] == " " else cells[place]
    return "".join(cells)


def _labels(places: Sequence[int], texts: Sequence[str], margin: int, columns: int) -> list[str]:
    """What is written below the upright lines, each on a line of its own where it would run into the next."""
    lines: list[str] = []
    for place, text in zip(places, texts, strict=True):
        start = margin + max(0, min(place, columns - len(text)))
        if not lines or len(lines[-1]) >= start:
            lines.append("")
        lines[-1] = f"{lines[-1]:<{start}}{text}"
    return lines


def _tick(line: int, lines: int) -> float | None:
    return {0: 0.0, (lines - 1) // 2: 0.5, lines - 1: 1.0}.get(line)


def _canvas(
    curves: Mapping[str, Sequence[float]],
    cell: Callable[[int, float], tuple[int, int]],
    columns: int,
    lines: int,
    *,
    ascii_only: bool,
) -> list[str]:
    canvas = plotille.Canvas(columns, lines, xmax=columns * _DOTS_ACROSS, ymax=lines * _DOTS_DOWN)
    letters: dict[tuple[int, int], set[str]] = defaultdict(set)
    for letter, values in curves.items():
        places = [cell(epoch, value) if drawable(value) else None for epoch, value in enumerate(values)]
        for start, end in pairwise(places):
            if start and end and not ascii_only:
                canvas.line(*_dot(start), *_dot(end))
        for place in filter(None, places):
            letters[place].add(letter)
    # Letters last, so that no line hides them.
    for place, found in letters.items():
        canvas.point(*_dot(place), marker=SEVERAL if len(found) > 1 else min(found))
    # Canvas fills cells without dots with an empty Braille character, which is no blank to a terminal.
    text: str = canvas.plot(linesep="\n")
    return text.replace("\N{BRAILLE PATTERN BLANK}", " ").split("\n")


def _dot(place: tuple[int, int]) -> tuple[int, int]:
    """The middle of a character."""
    return place[0] * _DOTS_ACROSS + 1, place[1] * _DOTS_DOWN + 2
