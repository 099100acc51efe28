"""Raw pixels out of preprocessed images, where only those are known: an 8-bit picture lies on a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.diff.affine import AffineMap, known_modes

#: So far from a whole grey level may a pixel lie: half precision leaves an eighth of a level in [0, 255].
GRID = 0.125
#: Images without a grid, resized bilinearly say, are told by their range when they use this much of it.
MOST_OF_THE_RANGE = 128
#: Modes whose range is no other's.
_BY_RANGE = ("raw [0, 255]", "1/255 to [0, 1]", "1/127.5 - 1 to [-1, 1]")


def raw_pixels(*candidates: npt.NDArray[Any] | None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
    """The first images that a known mode made of grey levels, and those grey levels.

    Whether blue or red comes first cannot be told from values alone, but for caffe's means: red, it is taken.

    Args:
        candidates: ``(n, height, width, channels)`` each, preprocessed, the likeliest first; others are passed over.

    Returns:
        Raw pixels in [0, 255] and the images made of them, both of one shape; None where no mode explains any.
    """
    images = [array for array in candidates if array is not None and array.ndim == 4 and array.size]  # noqa: PLR2004
    for whole in (True, False):
        for array in images:
            modes = known_modes(array.shape[-1])
            for name in modes if whole else _BY_RANGE:
                raw = _undone(modes[name], array)
                if _on_grid(raw) if whole else _in_range(raw):
                    return (np.round(raw) if whole else raw).astype(np.float32), array
    return None


def _undone(mode: AffineMap, images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """``x`` of ``y[..., c] = scale[c] * x[..., order[c]] + offset[c]``."""
    raw = np.empty(images.shape, np.float64)
    for channel, source in enumerate(mode.order):
        raw[..., source] = (images[..., channel].astype(np.float64) - mode.offset[channel]) / mode.scale[channel]
    return raw


def _on_grid(raw: npt.NDArray[np.float64]) -> bool:
    """Grey levels; zeros and ones alone could be levels as well as white on black."""
    low, high = float(raw.min()), float(raw.max())
    return low >= -GRID and 1 + GRID < high <= 255 + GRID and bool(np.abs(raw - np.round(raw)).max() <= GRID)


def _in_range(raw: npt.NDArray[np.float64]) -> bool:
    low, high = float(raw.min()), float(raw.max())
    return low >= -GRID and high <= 255 + GRID and high - low >= MOST_OF_THE_RANGE
