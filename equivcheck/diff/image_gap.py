"""How one set of images follows from another of the same samples, where no affine map of their values says it.

Sizes, sides exchanged, another resize, random views, or none of these. What a resize changes is detail: with detail
averaged away the two agree, and no picture has moved. What augmentation changes differs from picture to picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from equivcheck.diff.affine import AffineMap, fit_affine
from equivcheck.diff.identity import SIDE, averaged

Kind = Literal["affine", "turned", "resized", "swapped", "views", "other"]

#: Movements that differ by more than this many pixels, root mean square over a picture of 32 x 32, are not one resize:
#: resizes of the fixture's digits by any two of Pillow's and TensorFlow's modes move by 0.1 at most, augmentation by
#: a twentieth of a turn by 1.5 (tests/diff/test_image_gap.py).
MOVED = 0.35
#: The same for brightness and contrast, as a share of the contrast of the pictures.
BRIGHTENED = 0.06
#: With detail averaged away two resizes of one picture correlate by more than this: the fixture's digits, shown at four
#: times their size by the nearest pixel and bilinearly, by 0.985.
SMOOTH = 0.95
#: The same when one set shows only the middle of the other's pictures, enlarged.
CROPPED = 0.9
#: One explanation is better than another when it leaves less than this share of what the other leaves; two ways to
#: resize leave as much for each picture as for all.
UNEXPLAINED = 0.25
#: How often values may run through their whole range, sorted by the values that they come from, where the map is one of
#: values alone: once up; rounding to 256 levels on the way makes it three times.
POINTWISE = 4.0
#: A curve over the values that deviates from a line by less than this share of the range is the rounding of a resize.
CURVED = 0.01
#: Values that are looked at for a curve: more say no more.
_VALUES = 20_000


@dataclass(frozen=True, slots=True)
class ImageGap:
    """How the second set of images follows from the first.

    Attributes:
        kind: ``affine``: by an affine map of the values alone; ``turned``: height and width exchanged in the pixels;
            ``swapped``: read at (width, height) instead of (height, width); ``resized``: read at another size, or
            resized in another way; ``views``: each picture changed in its own way, as augmentation does; ``other``.
        first: Height and width of the first, in pixels.
        second: The same of the second.
        smooth: The affine map between the two with detail averaged away; None where they do not show the same then.
        moved: How differently pictures are moved, root mean square in pixels of a picture of 32 x 32.
        largest_residual: Largest deviation from the best affine map, as a share of the range; None at other sizes.
    """

    kind: Kind
    first: tuple[int, int]
    second: tuple[int, int]
    smooth: AffineMap | None
    moved: float
    largest_residual: float | None


def image_gap(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> ImageGap:  # noqa: PLR0911  (one for each kind)
    """Says how the images of ``b`` follow from those of ``a``.

    Args:
        a: ``(n, height, width, channels)``.
        b: ``(n, height', width', channels)``: the same samples.
    """
    sizes = (a.shape[1], a.shape[2]), (b.shape[1], b.shape[2])
    plain, turned = fit_affine(a, b), fit_affine(a.transpose(0, 2, 1, 3), b)
    residual = plain.residual if plain else None
    if plain is not None and plain.explains:
        return ImageGap("affine", *sizes, plain, 0.0, residual)
    if turned is not None and turned.explains:
        return ImageGap("turned", *sizes, turned, 0.0, residual)
    if sizes[0] != sizes[1]:
        kind: Kind = "swapped" if sizes[0] == sizes[1][::-1] else "resized"
        return ImageGap(kind, *sizes, _smooth_map(a, b), _moved(a, b)[0], residual)
    if _deterministic(a, b, residual or 0.0):
        return ImageGap("other", *sizes, None, 0.0, residual)
    moved, brightened = _moved(a, b)
    if _cropped(a, b):
        return ImageGap("resized", *sizes, None, moved, residual)
    if moved > MOVED or brightened > BRIGHTENED or _each_affine(a, b):
        return ImageGap("views", *sizes, None, moved, residual)
    smooth = _smooth_map(a, b)
    return ImageGap("resized" if smooth else "other", *sizes, smooth, moved, residual)


def _deterministic(a: npt.NDArray[Any], b: npt.NDArray[Any], residual: float) -> bool:
    """Whether one rule that is no resize makes one set of the other: all mirrored, normalised alone, a curve."""
    mirrored = (fit_affine(view, b) for view in (a[:, :, ::-1], a[:, ::-1], a[:, ::-1, ::-1]))
    return (
        any(found is not None and found.explains for found in mirrored)
        or _normalised_alone(a) != _normalised_alone(b)
        or (residual > CURVED and _pointwise(a, b))
    )


def _each_affine(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    """Whether another contrast or brightness for each picture explains most of what one for all does not."""
    x, y = (array.mean(axis=-1).reshape(len(array), -1).astype(np.float64) for array in (a, b))
    apart = sum(_unexplained(x[row], y[row]) for row in range(len(x)))
    return apart < UNEXPLAINED * _unexplained(x.ravel(), y.ravel())


def _unexplained(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Sum of squares that the best line leaves."""
    x, y = x - x.mean(), y - y.mean()
    return float(y @ y - (x @ y) ** 2 / ((x @ x) or 1.0))


def _smooth_map(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> AffineMap | None:
    """The affine map between the two at an eighth of 32 pixels, where any resize gives nearly the same."""
    x, y = averaged(a, SIDE // 2), averaged(b, SIDE // 2)
    found = fit_affine(x, y)
    if found is None:
        return None
    mapped = x[..., list(found.order)] * np.array(found.scale) + np.array(found.offset)
    return found if _likeness(mapped, y).min() >= SMOOTH else None


def _cropped(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    """Whether one set shows the same middle part of every picture of the other, enlarged to the same size."""
    first, second = averaged(a, 2 * SIDE), averaged(b, 2 * SIDE)
    plain = _likeness(first, second).min()
    parts = np.linspace(0.5, 0.95, 10)
    pairs = [(part, 1.0) for part in parts] + [(1.0, part) for part in parts] + [(part, part) for part in parts]
    for whole, part in ((first, second), (second, first)):
        best = max(_likeness(_middle(whole, *pair), part).min() for pair in pairs)
        if best >= CROPPED and 1 - best < UNEXPLAINED * (1 - plain):
            return True
    return False


def _middle(images: npt.NDArray[np.float64], height: float, width: float) -> npt.NDArray[np.float64]:
    """This share of the pictures, enlarged to their size, from the nearest pixels."""
    place = [
        np.rint((np.arange(2 * SIDE) + 0.5 - SIDE) * share + SIDE - 0.5).astype(int).clip(0, 2 * SIDE - 1)
        for share in (height, width)
    ]
    middle: npt.NDArray[np.float64] = images[:, place[0]][:, :, place[1]]
    return middle


def _likeness(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Correlation of each pair of pictures."""
    x, y = (array.mean(axis=-1).reshape(len(array), -1) for array in (a, b))
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    likeness: npt.NDArray[np.float64] = np.divide((x * y).sum(axis=1), norms, out=np.ones(len(x)), where=norms > 0)
    return likeness


def _normalised_alone(images: npt.NDArray[Any]) -> bool:
    """Whether every image was brought to one mean and one deviation by itself."""
    flat = np.asarray(images, np.float64).reshape(len(images), -1)
    means, deviations = flat.mean(axis=1), flat.std(axis=1)
    scale = float(deviations.mean()) or 1.0
    return bool(len(flat) > 1 and np.ptp(means) <= 1e-3 * scale and np.ptp(deviations) <= 1e-3 * scale)


def _pointwise(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    """Whether equal values always become equal values: a curve over the values, such as a gamma or a clip."""
    x, y = (np.asarray(array).reshape(-1, array.shape[-1]) for array in (a, b))
    step = max(1, len(x) // _VALUES)
    x, y = (array[::step].astype(np.float64) for array in (x, y))
    for channel in range(x.shape[1]):
        values = y[np.lexsort((y[:, channel], x[:, channel])), channel]
        # From the darkest to the brightest a curve goes up once; anything else goes up and down all the way.
        if np.abs(np.diff(values)).sum() > POINTWISE * (float(np.ptp(values)) or 1.0):
            return False
    return True


def _moved(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[float, float]:
    """How differently the pictures are moved, in pixels of 32 x 32, and brightened, as a share of their contrast.

    For each picture the small affine movement, brightness and contrast that explain the change best are estimated, as
    in gradient-based registration (Lucas and Kanade 1981); what counts is how they vary from picture to picture. For
    a movement that is not small, a mirrored picture for instance, the estimate is wrong but it varies all the more.
    """
    first, second = (averaged(array, 2 * SIDE).mean(axis=-1) for array in (a, b))
    kernel = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    first, second = _blurred(first, kernel), _blurred(second, kernel)
    contrast = [float(array.std()) or 1.0 for array in (first, second)]
    x = (first - first.mean()) / contrast[0]
    y = (second - second.mean()) / contrast[1]
    sign = float(np.sign((x * y).sum())) or 1.0
    y = sign * y
    down, across = np.gradient(x, axis=1), np.gradient(x, axis=2)
    place = (np.indices(x.shape[1:]) - SIDE) / SIDE
    one = np.ones(x.shape[1:])
    fields = np.array([one, place[0], place[1]])
    answers = []
    for row in range(len(x)):
        columns = [*(fields * down[row]), *(fields * across[row]), x[row], one]
        matrix = np.array([column.ravel() for column in columns]).T
        # A little resistance: a picture that says nothing of a movement must not invent one.
        ridge = 1e-3 * np.eye(len(columns)) * len(matrix)
        answers.append(np.linalg.solve(matrix.T @ matrix + ridge, matrix.T @ (y[row] - x[row]).ravel()))
    found = np.array(answers)
    found -= np.median(found, axis=0)
    size = np.array([1.0, 0.25, 0.25])  # mean square of a coordinate over the middle of the picture
    movement = (found[:, :3] ** 2 @ size + found[:, 3:6] ** 2 @ size) ** 0.5
    return float(np.sqrt((movement**2).mean())), float(np.sqrt((found[:, 6:] ** 2).mean()))


def _blurred(images: npt.NDArray[np.float64], kernel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    for axis in (1, 2):
        width = [(0, 0)] * 3
        width[axis] = (len(kernel) // 2, len(kernel) // 2)
        padded = np.pad(images, width, mode="edge")
        length = images.shape[axis]
        images = sum(
            weight * np.take(padded, range(start, start + length), axis=axis) for start, weight in enumerate(kernel)
        )
    return images
