"""Which sample of one arm is which of the other, although their preprocessing may differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SIDE = 16
#: Correlation of two thumbnails above which they show the same sample. Preprocessing modes are affine per channel, and
#: the mean of the channels stays affine up to the 2 % by which torch's three standard deviations differ.
SAME = 0.999


def thumbnails(images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Small grey pictures that no affine preprocessing changes.

    Args:
        images: ``(n, height, width, channels)``.

    Returns:
        ``(n, 256)``: the mean over channels, averaged down to at most 16 x 16, each with mean 0 and norm 1.
    """
    grey = np.asarray(images, np.float32).mean(axis=-1)
    for axis in (1, 2):
        edges = np.linspace(0, grey.shape[axis], min(SIDE, grey.shape[axis]) + 1).astype(int)
        widths = np.diff(edges).reshape([-1 if a == axis else 1 for a in range(3)])
        grey = np.add.reduceat(grey, edges[:-1], axis=axis) / widths
    flat = grey.reshape(len(grey), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(flat, norms, out=np.zeros_like(flat), where=norms > 0)
    return unit


def match_images(reference: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """For each image of ``other`` its row in ``reference``, or -1.

    Equal images are taken in turn.
    """
    a, b = thumbnails(reference), thumbnails(other)
    if a.shape[1] != b.shape[1]:
        return np.full(len(b), -1, np.int64)
    rows = np.full(len(b), -1, np.int64)
    taken: set[int] = set()
    for row, thumbnail in enumerate(b):
        likeness = a @ thumbnail
        candidates = [int(found) for found in np.flatnonzero(likeness >= max(SAME, likeness.max() - 1e-6))]
        free = [found for found in candidates if found not in taken]
        if free or candidates:
            rows[row] = (free or candidates)[0]
            taken.add(int(rows[row]))
    return rows


def match_ids(reference: tuple[str, ...], other: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """For each id of ``other`` its row in ``reference``, or -1."""
    position = {name: row for row, name in enumerate(reference)}
    return np.array([position.get(name, -1) for name in other], np.int64)
