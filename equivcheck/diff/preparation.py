"""What the map between two preprocessings, or from raw pixels to one, says of a defect."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.diff.affine import EXACT, SAME, AffineMap
from equivcheck.evidence import InputTrace

#: With detail averaged away two resizes still differ in contrast: nearest pixels against bilinear by up to 16 % of the
#: range at the ends (the fixture's digits). Two preprocessing modes differ by 50 % and more.
ROUGHLY = 0.25
#: Channels are treated alike when what is done to them differs by less than this share of the range; the means of
#: caffe's mode differ by 8 %.
ALIKE = 0.01
#: Every known mode leaves pixels in [0, 255] a range of 1 at least (1/255); rescaled twice they keep 255 / 255**2 to
#: 4.4 / 127.5 = 0.035 (a network that divides by ImageNet's deviations, fed images in [-1, 1]).
CONTRAST = 0.1
#: A layer whose factor is below this brings grey levels down: 1/255, 1/127.5, or 1/58 with ImageNet's deviations.
BRINGS_DOWN = 1 / 50
#: Values between these limits have been rescaled already: ImageNet's means and deviations give -2.12 to 2.64.
RESCALED = 3.0


def unchanged(between: AffineMap, tensor: npt.NDArray[Any], *, roughly: bool = False) -> bool:
    """Whether a map leaves a tensor as it is: up to float rounding, or as far as another resize lets it be seen.

    Args:
        between: The map.
        tensor: What it is applied to.
        roughly: Compare no closer than two resizes of one picture agree.
    """
    if between.order != tuple(range(len(between.order))) or not (roughly or between.residual <= EXACT):
        return False
    ends = np.array([float(tensor.min()), float(tensor.max())])
    mapped = ends[:, None] * np.array(between.scale) + np.array(between.offset)
    spread = float(np.ptp(ends))
    return bool(np.abs(mapped - ends[:, None]).max() <= (ROUGHLY if roughly else SAME) * spread) if spread else True


def in_order(between: AffineMap) -> AffineMap:
    """The same map without its reordering of channels."""
    return AffineMap(between.scale, between.offset, tuple(range(len(between.order))), between.residual)


def reorders(between: AffineMap, tensor: npt.NDArray[Any], *, roughly: bool = False) -> bool:
    """Whether a map exchanges channels and does the same to each of them.

    Another mode (caffe's order and means against 1/255, say) also exchanges channels, but shifts each by its own mean.

    Args:
        between: The map.
        tensor: What it is applied to.
        roughly: Compare no closer than two resizes of one picture agree.
    """
    if between.order == tuple(range(len(between.order))):
        return False
    ends = np.array([float(tensor.min()), float(tensor.max())])
    mapped = ends[:, None] * np.array(between.scale) + np.array(between.offset)
    apart, size = float(np.ptp(mapped, axis=1).max()), float(np.abs(mapped[1] - mapped[0]).max())
    return apart <= (ROUGHLY if roughly else ALIKE) * size


def same_but_order(one: AffineMap, other: AffineMap) -> bool:
    """Whether two maps from raw pixels differ in nothing but the order of the channels.

    Either the channels were exchanged before the same preprocessing, or after it.
    """
    if one.order == other.order or len(one.order) != len(other.order):
        return False
    straight = tuple(range(len(one.order)))
    before = AffineMap(one.scale, one.offset, straight, 0.0).same_as(
        AffineMap(other.scale, other.offset, straight, 0.0)
    )
    return before or _by_source(one).same_as(_by_source(other))


def _by_source(known: AffineMap) -> AffineMap:
    """The map with its channels in the order of the raw ones."""
    place = np.argsort(known.order)
    scale, offset = (tuple(np.array(values)[place].tolist()) for values in (known.scale, known.offset))
    return AffineMap(scale, offset, tuple(range(len(place))), 0.0)


def rescaled_twice(found: InputTrace) -> str | None:
    """Says what shows that pixels were brought down twice on their way to the first kernel; None if they were not."""
    raw = found.against_raw
    if raw is not None and raw.explains:
        contrast = _contrast(raw)
        expected = _contrast(found.as_trained) if found.as_trained is not None else 1.0
        if not 0 < contrast < CONTRAST or 10 * contrast > expected:
            return None
        return f"the whole range of grey levels keeps a contrast of {contrast:.3g}"
    for step in found.scalings:
        if step.scale <= BRINGS_DOWN and step.low >= -RESCALED and step.low < step.high <= RESCALED:
            return (
                f"{step.layer} multiplies by {step.scale:.3g} and receives values from {step.low:.3g} to "
                f"{step.high:.3g}, which have been rescaled before"
            )
    low, high = float(found.tensor.min()), float(found.tensor.max())
    # Not below zero and within one grey level of an image in [0, 1].
    if low >= 0 and 0.3 / 255 <= high <= 1.01 / 255:
        return f"values from {low:.3g} to {high:.3g} arrive: 1/255 of an image in [0, 1]"
    return None


def _contrast(known: AffineMap) -> float:
    return 255 * max(map(abs, known.scale))
