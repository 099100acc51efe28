"""What printed accuracies give away: of how many samples they can be, and whether they repeat. Plain Python."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Below this chance a repetition is none (a significance level of 0.1 %, as for the runs test of orders).
_CHANCE = 1e-3

#: Whole repetitions that are asked for: two may be luck in a short curve, whatever its values.
_REPEATS = 3

#: Samples that an evaluation takes beyond those it uses: none, or the queue of Keras 1 (``max_q_size=10``).
_READ_AHEAD = (0, 10)

#: Most times that one evaluation goes around its set.
_MOST_ROUNDS = 4

#: Most samples for which sliding windows are tried where the number of samples is not known.
_MOST_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Period:
    """An exact repetition at the end of a curve.

    Attributes:
        length: Epochs after which the values come again.
        start: Index of the first value that takes part.
        values: The values of one repetition, from ``start`` on.
        repeats: How often they come, the last perhaps cut off.
        chance: Upper bound of the chance that independent values, as frequent as these, repeat so.
    """

    length: int
    start: int
    values: tuple[float, ...]
    repeats: float
    chance: float


@dataclass(frozen=True, slots=True)
class Window:
    """An evaluation that goes on where the last one ended, instead of at the first sample.

    Attributes:
        samples: Samples in the set, sorted by class, the first class first.
        first_class: How many of them are of the first class.
        window: Samples that each evaluation takes.
        read_ahead: Samples that are lost after each evaluation, because they were read ahead.
    """

    samples: int
    first_class: int
    window: int
    read_ahead: int

    @property
    def stride(self) -> int:
        """How many samples later each evaluation begins, modulo ``samples``."""
        return (self.window + self.read_ahead) % self.samples


def can_be_of(count: int, values: Sequence[float], rounding: Sequence[float]) -> bool:
    """Whether every value is a whole number of hits among ``count`` samples, up to its rounding."""
    return all(
        abs(round(value * count) / count - value) <= error for value, error in zip(values, rounding, strict=True)
    )


def smallest_count(values: Sequence[float], rounding: Sequence[float]) -> int | None:
    """The smallest number of samples that all these accuracies can be of.

    Args:
        values: Accuracies in [0, 1].
        rounding: Largest error of each.

    Returns:
        None where the values are printed too coarsely to tell, or there are none.
    """
    points = sorted(set(zip(values, rounding, strict=True)))
    if not points:
        return None
    # From here on fractions lie so close that any value is near one.
    most = min(10_000, math.ceil(0.5 / max(*rounding, 1e-9)))
    columns = tuple(zip(*points, strict=True))
    return next((count for count in range(1, most) if can_be_of(count, *columns)), None)


def period_of(values: Sequence[float]) -> Period | None:
    """The shortest exact repetition that reaches to the end of the curve, takes three turns, and is no accident."""
    total = len(values)
    for length in range(2, total // _REPEATS + 1):
        start = total - length
        while start > 0 and values[start - 1] == values[start - 1 + length]:
            start -= 1
        part = values[start:]
        if len(part) < _REPEATS * length or len(set(part)) == 1:
            continue
        frequency = {value: times / len(part) for value, times in Counter(part).items()}
        # Every length and every start might have been the one that was found.
        chance = total * math.prod(frequency[value] for value in part[length:])
        if chance <= _CHANCE:
            return Period(length, start, tuple(part[:length]), len(part) / length, chance)
    return None


def sliding_window(
    cycle: Sequence[float], rounding: Sequence[float], count: int, samples: int | None = None, before: int = 0
) -> Window | None:
    """A window that slides over samples of two classes, on which a constant prediction scores this cycle.

    Args:
        cycle: Accuracies of one repetition.
        rounding: Largest error of each.
        count: Smallest number of samples that the accuracies can be of; a window takes a multiple of it.
        samples: Samples in the set; None tries two equally large classes of up to 64 samples together.
        before: Evaluations before the cycle; the very first one began at the first sample.

    Returns:
        The smallest set and window, without reading ahead if possible; None where there is none.
    """
    for read_ahead in _READ_AHEAD:
        for size, first in _sets(samples):
            for taken in range(count, _MOST_ROUNDS * size + 1, count):
                window = Window(size, first, taken, read_ahead)
                turns = size // math.gcd(size, window.stride)
                if turns == len(cycle) and _slides(cycle, rounding, window, before):
                    return window
    return None


def _sets(samples: int | None) -> Iterator[tuple[int, int]]:
    """Sizes of sets and of their first class, equally large classes first."""
    if samples is None:
        yield from ((size, size // 2) for size in range(2, _MOST_SAMPLES + 1, 2))
    else:
        half = samples // 2
        yield from ((samples, first) for first in sorted(range(1, samples), key=lambda first: abs(first - half)))


def window_scores(window: Window, evaluations: int, before: int = 0) -> tuple[float, ...]:
    """What the constant prediction of the first class scores in each evaluation.

    Args:
        window: The window; the very first evaluation begins at the first sample.
        evaluations: How many evaluations are asked for.
        before: How many came before them.
    """
    whole, rest = divmod(window.window, window.samples)
    scores = []
    for evaluation in range(before, before + evaluations):
        start = evaluation * window.stride
        hits = sum((start + place) % window.samples < window.first_class for place in range(rest))
        scores.append((whole * window.first_class + hits) / window.window)
    return tuple(scores)


def _slides(cycle: Sequence[float], rounding: Sequence[float], window: Window, before: int) -> bool:
    """Whether the constant prediction of the first class, or of the second, scores the cycle."""
    scores = window_scores(window, len(cycle), before)
    return any(
        all(abs(score - value) <= error for score, value, error in zip(answers, cycle, rounding, strict=True))
        for answers in (scores, [1 - score for score in scores])
    )
