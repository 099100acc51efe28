"""Which stored rows are like each of a few rows that were computed again."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.evidence import StoredTrace

#: Features apart by no more than this are the same: twice the spacing of half precision, which is 2 ** -10. What
#: mixed_float16 makes is 3e-4, and another batch size 6e-7.
HALF = 2e-3

#: Elements that are compared at once, so that a large store is not copied whole.
_AT_ONCE = 2**22


def nearest_rows(
    computed: npt.NDArray[Any], rows: npt.NDArray[np.int64], stored: npt.NDArray[Any]
) -> StoredTrace | None:
    """Compares each computed row with every stored one.

    Args:
        computed: ``(p, ...)`` features computed again.
        rows: ``(p,)`` the rows of ``stored`` that they should be.
        stored: ``(n, ...)`` features as stored; a stored row may be flattened.

    Returns:
        None where a stored row has another size than a computed one, or nothing is there to be told apart.
    """
    distances = _distances(computed, stored)
    if distances is None:
        return None
    places = np.arange(len(rows))
    nearest = distances.argmin(axis=1)
    return StoredTrace(rows, distances[places, rows], nearest, distances[places, nearest], len(stored))


def rows_alike(computed: npt.NDArray[Any], stored: npt.NDArray[Any]) -> list[npt.NDArray[np.int64]]:
    """For each computed row all stored rows that hold the same features.

    Args:
        computed: ``(p, ...)`` features computed again.
        stored: ``(n, ...)`` features as stored; a stored row may be flattened.

    Returns:
        ``p`` arrays of rows; empty ones where a stored row has another size, or nothing is there to be told apart.
    """
    distances = _distances(computed, stored)
    if distances is None:
        return [np.zeros(0, np.int64)] * len(computed)
    return [np.flatnonzero(same_features(row)) for row in distances]


def _distances(computed: npt.NDArray[Any], stored: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
    """``(p, n)``: largest difference of each computed row to each stored one, by the largest computed feature."""
    wanted, known = computed.reshape(len(computed), -1).astype(np.float64), stored.reshape(len(stored), -1)
    scale = float(np.abs(wanted).max(initial=0.0))
    if wanted.shape[1:] != known.shape[1:] or not len(wanted) or not np.isfinite(scale) or scale == 0:
        return None
    step = max(1, _AT_ONCE // max(1, known.shape[1]))
    distances = np.empty((len(wanted), len(known)))
    for start in range(0, len(known), step):
        part = known[start : start + step].astype(np.float64)
        for index, row in enumerate(wanted):
            distances[index, start : start + step] = np.abs(part - row).max(axis=1) / scale
    return distances


def same_features(distances: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of these distances, relative to the largest feature, are no more than rounding."""
    same: npt.NDArray[np.bool_] = distances <= HALF
    return same
