"""Which sample of one arm is which of the other, although their preprocessing may differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SIDE = 16
#: Correlation of two thumbnails above which they show the same sample. Preprocessing modes are affine per channel, and
#: the mean of the channels stays affine up to the 2 % by which torch's three standard deviations differ.
SAME = 0.999
#: Contrast, relative to brightness, below which a picture is flat: float32 rounds to 1e-7, and a single cell of 256
#: that is one grey level of 255 brighter makes 2e-4.
CONTRAST = 1e-5


def thumbnails(images: npt.NDArray[Any], side: int | None = None) -> npt.NDArray[np.float32]:
    """Small grey pictures that no affine preprocessing changes.

    Args:
        images: ``(n, height, width, channels)``.
        side: Height and width of the pictures, so that images of any sizes can be compared; default: at most 16.

    Returns:
        ``(n, 256)``: the mean over channels, averaged to at most 16 x 16, each with mean 0 and norm 1, or all 0
        where there is no contrast.
    """
    down, across = (_averaging(size, side or min(SIDE, size)) for size in images.shape[1:3])
    # Image by image: a whole data set as float32 may not fit in memory beside itself.
    grey = np.array([down @ np.asarray(image, np.float32).mean(axis=-1) @ across.T for image in images])
    whole = grey.reshape(len(grey), -1)
    flat = whole - whole.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    # What is left of a picture without contrast is rounding, in which any two would look alike or not by chance.
    visible = norms > CONTRAST * np.linalg.norm(whole, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(flat, norms, out=np.zeros_like(flat), where=visible)
    return unit


def averaged(images: npt.NDArray[Any], side: int) -> npt.NDArray[np.float64]:
    """``(n, side, side, channels)``: each pixel the mean of a part of the image, whatever size the images have."""
    down, across = _averaging(images.shape[1], side), _averaging(images.shape[2], side)
    small: npt.NDArray[np.float64] = np.einsum(
        "dh,nhwc,aw->ndac", down, np.asarray(images, np.float64), across, optimize=True
    )
    return small


def _averaging(size: int, side: int) -> npt.NDArray[np.float32]:
    """``(side, size)``: averages a line of pixels down; what an edge cuts is shared out, so size matters little."""
    edges = np.linspace(0, size, side + 1)
    pixel = np.arange(size)
    shared = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (shared.clip(0) / np.diff(edges)[:, None]).astype(np.float32)


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
