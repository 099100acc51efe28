"""Names what preprocessing did: the affine map per channel between two sets of images.

The known modes are those of ``keras.applications.imagenet_utils.preprocess_input`` and plain rescaling.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

#: A channel is explained by an affine map when the largest residual is below this share of the channel's range:
#: half a grey level of 255, the rounding that an 8-bit image carries, and half of that again, because the line is
#: fitted to rounded values and so a little off itself (measured: 0.51 to 0.60 levels).
RESIDUAL = 0.75 / 255
#: Two maps are the same when they differ by less than this share of the range, a twentieth of a grey level.
SAME = 0.05 / 255
#: Up to this residual values are the same but for rounding of floats: half precision makes 2**-11 of the largest value,
#: an eighth of a grey level, and an 8-bit image, which is another image, half a level.
EXACT = 0.25 / 255

_CAFFE_MEAN = (103.939, 116.779, 123.68)
_TORCH_MEAN, _TORCH_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_TORCH_RANGE = float((-_TORCH_MEAN / _TORCH_STD).min()), float(((1 - _TORCH_MEAN) / _TORCH_STD).max())


@dataclass(frozen=True, slots=True)
class AffineMap:
    """``y[..., c] = scale[c] * x[..., order[c]] + offset[c]``.

    Attributes:
        scale: One factor per channel of ``y``.
        offset: One summand per channel of ``y``, in the unit of ``y``.
        order: The channel of ``x`` that each channel of ``y`` comes from.
        residual: Largest deviation from the map, as a share of the range of ``y``.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]
    order: tuple[int, ...]
    residual: float

    @property
    def explains(self) -> bool:
        """Whether the map accounts for all but rounding."""
        return self.residual <= RESIDUAL

    @property
    def identity(self) -> bool:
        """Whether nothing changes but rounding of floats, half precision included; 8-bit rounding is a change."""
        return self.residual <= EXACT and self.same_as(AffineMap(*_constant(1.0, 0.0, len(self.scale)), 0.0))

    def same_as(self, other: AffineMap) -> bool:
        """Whether two maps send pixels in [0, 255] to the same values, up to a twentieth of a grey level."""
        if len(self.scale) != len(other.scale) or self.order != other.order:
            return False
        ends = np.array([0.0, 255.0])[:, None]
        mine = ends * np.array(self.scale) + np.array(self.offset)
        theirs = ends * np.array(other.scale) + np.array(other.offset)
        spread = np.abs(theirs[1] - theirs[0]).max()
        return bool(np.abs(mine - theirs).max() <= SAME * spread) if spread else mine.tolist() == theirs.tolist()

    def then(self, other: AffineMap) -> AffineMap:
        """The map from what this one makes to what another makes of the same ``x``.

        Args:
            other: A map of as many channels.
        """
        place = [self.order.index(channel) for channel in other.order]
        factors = [self.scale[there] or 1.0 for there in place]
        scale = [factor / mine for factor, mine in zip(other.scale, factors, strict=True)]
        offset = [other.offset[c] - scale[c] * self.offset[there] for c, there in enumerate(place)]
        return AffineMap(tuple(scale), tuple(offset), tuple(place), max(self.residual, other.residual))

    @property
    def name(self) -> str:
        """In the field's words: ``1/255``, ``[-1, 1]``, ``caffe (BGR, ImageNet means)``, … or the numbers."""
        if not self.explains:
            return f"not affine (residual {100 * self.residual:.1f} % of the range)"
        for name, known in known_modes(len(self.scale)).items():
            if self.same_as(known):
                return name if self.residual <= EXACT else f"{name} (within {255 * self.residual:.1f} grey levels)"
        reordered = "" if self.order == tuple(range(len(self.order))) else f", channels {_channels(self.order)}"
        if len(set(np.round(self.scale, 6))) == 1 and len(set(np.round(self.offset, 4))) == 1:
            return f"x * {self.scale[0]:.6g} + {self.offset[0]:.4g}{reordered}"
        return f"x * {_numbers(self.scale)} + {_numbers(self.offset)}{reordered}"


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def _channels(order: tuple[int, ...]) -> str:
    return "".join("RGBA"[channel] for channel in order) if len(order) <= len("RGBA") else str(order)


def _constant(
    scale: float, offset: float, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
    return (scale,) * channels, (offset,) * channels, tuple(range(channels))


def known_modes(channels: int) -> dict[str, AffineMap]:
    """The maps from raw pixels that have a name."""
    modes = {
        "raw [0, 255]": AffineMap(*_constant(1.0, 0.0, channels), 0.0),
        "1/255 to [0, 1]": AffineMap(*_constant(1 / 255, 0.0, channels), 0.0),
        "1/127.5 - 1 to [-1, 1]": AffineMap(*_constant(1 / 127.5, -1.0, channels), 0.0),
        "rescaled twice (1/255 of 1/255)": AffineMap(*_constant(1 / 255**2, 0.0, channels), 0.0),
    }
    if channels == 3:  # noqa: PLR2004
        mean = tuple(-value for value in _CAFFE_MEAN)
        modes["caffe (BGR, minus ImageNet means)"] = AffineMap((1.0,) * 3, mean, (2, 1, 0), 0.0)
        modes["minus ImageNet means, RGB"] = AffineMap((1.0,) * 3, mean[::-1], (0, 1, 2), 0.0)
        modes["minus ImageNet means, BGR"] = AffineMap((1.0,) * 3, mean, (0, 1, 2), 0.0)  # caffe's, of grey images
        modes["torch (ImageNet mean and standard deviation)"] = AffineMap(
            tuple(1 / (255 * _TORCH_STD)), tuple(-_TORCH_MEAN / _TORCH_STD), (0, 1, 2), 0.0
        )
        for name in ("raw [0, 255]", "1/255 to [0, 1]", "1/127.5 - 1 to [-1, 1]"):
            straight = modes[name]
            modes[f"{name}, BGR"] = AffineMap(straight.scale, straight.offset, (2, 1, 0), 0.0)
    return modes


def looks_like(tensor: npt.NDArray[Any]) -> str:
    """A guess from the values alone, for images whose raw pixels are unknown."""
    low, high = float(tensor.min()), float(tensor.max())
    values = f"values from {low:.3g} to {high:.3g}"
    if low >= 0:
        mode = "1/255 to [0, 1]" if high <= 1 else "raw [0, 255]" if high <= 255 else None  # noqa: PLR2004
    elif low >= -1 and high <= 1:
        mode = "1/127.5 - 1 to [-1, 1]"
    elif low >= -_CAFFE_MEAN[2] and high <= 255 - _CAFFE_MEAN[0] and high - low > 2 * 255 / 10:
        mode = "caffe (minus ImageNet means)"
    elif low >= _TORCH_RANGE[0] and high <= _TORCH_RANGE[1]:
        mode = "torch (ImageNet mean and standard deviation)"
    else:
        mode = None
    return f"{values}, as {mode} gives" if mode else values


def fit_affine(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> AffineMap | None:
    """The affine map per channel from ``x`` to ``y``, by least squares, over all orders of up to four channels.

    Args:
        x: ``(n, height, width, channels)``.
        y: The same samples, the same shape.

    Returns:
        The map with the smallest residual, the unchanged order winning ties; None where the shapes differ.
    """
    if x.shape != y.shape or x.ndim != 4:  # noqa: PLR2004
        return None
    channels = x.shape[-1]
    flat_x, flat_y = (np.asarray(array, np.float64).reshape(-1, channels) for array in (x, y))
    spread = float(np.ptp(flat_y)) or 1.0
    fits = [[_line(flat_x[:, i], flat_y[:, j]) for i in range(channels)] for j in range(channels)]
    orders = permutations(range(channels)) if channels <= 4 else [tuple(range(channels))]  # noqa: PLR2004

    def residual(order: tuple[int, ...]) -> float:
        return max(fits[j][i][2] for j, i in enumerate(order)) / spread

    straight = tuple(range(channels))
    best = min(orders, key=residual)
    # Grey images repeated over three channels fit in any order: then nothing speaks for a reordering.
    if residual(straight) <= residual(best) + SAME:
        best = straight
    lines = [fits[j][i] for j, i in enumerate(best)]
    return AffineMap(tuple(line[0] for line in lines), tuple(line[1] for line in lines), best, residual(best))


def _line(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Slope, offset and largest absolute residual of y = a x + b."""
    centred = x - x.mean()
    variance = float(centred @ centred)
    # Of a channel without contrast no factor can be known: left as it is, say.
    slope = float(centred @ (y - y.mean())) / variance if variance else 1.0
    offset = float(y.mean() - slope * x.mean())
    return slope, offset, float(np.abs(y - slope * x - offset).max())
