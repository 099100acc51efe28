"""Whether an order of labels is sorted by class: the runs test for several classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

#: Standard deviations below the expected number of runs from which an order counts as sorted: p < 0.001, one-sided.
SORTED = -3.09


def count_runs(labels: npt.NDArray[Any]) -> int:
    """Stretches of one and the same label."""
    return int(np.count_nonzero(np.diff(labels))) + 1 if len(labels) else 0


def runs_score(labels: npt.NDArray[Any]) -> float:
    """How far the number of runs lies from that of a random order, in standard deviations; negative: too few.

    Wald and Wolfowitz (1940), for more than two classes in the form of Barton and David (1957).
    """
    n = len(labels)
    _, counts = np.unique(labels, return_counts=True)
    if n < 2 or len(counts) < 2:  # noqa: PLR2004
        return 0.0
    squares, cubes = float((counts.astype(float) ** 2).sum()), float((counts.astype(float) ** 3).sum())
    expected = (n * (n + 1) - squares) / n
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
    return (count_runs(labels) - expected) / math.sqrt(variance) if variance > 0 else 0.0


def is_class_sorted(labels: npt.NDArray[Any]) -> bool:
    """Whether the order has too few runs to be chance."""
    return runs_score(labels) < SORTED


def displacement(reference: npt.NDArray[np.int64], order: npt.NDArray[np.int64]) -> float | None:
    """How far samples lie from their place in a reference order, on average, relative to a full shuffle.

    Args:
        reference: ``(n,)`` sample numbers, each once.
        order: ``(n,)`` the same in another order.

    Returns:
        0.0 where nothing moved, about 1.0 after a full shuffle, whose mean distance is n / 3; None where the two do not
        hold the same samples, each once.
    """
    n = len(order)
    places = np.argsort(reference, kind="stable")
    if n < 2 or len(reference) != n or not np.array_equal(reference[places], np.unique(order)):  # noqa: PLR2004
        return None
    place = places[np.searchsorted(reference[places], order)]
    return float(np.abs(place - np.arange(n)).mean() / (n / 3))
