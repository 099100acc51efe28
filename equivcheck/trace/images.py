"""What became of an arm's images before they reach the first kernel, and between epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.arms.user_code import user_code
from equivcheck.diff.affine import AffineMap, fit_affine
from equivcheck.diff.image_gap import ImageGap, image_gap
from equivcheck.diff.views import assign, in_order
from equivcheck.evidence import ImageTrace, InputTrace, ScalingTrace
from equivcheck.trace.inputs import first_kernel_input
from equivcheck.trace.layers import Seen
from equivcheck.trace.observed import Observed
from equivcheck.trace.walk import Walk

#: Pixels are the same up to this share of their range: what half precision and the order of sums leave.
SAME = 1e-3


def trace_images(
    observed: Observed, probes: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64] | None
) -> ImageTrace:
    """Measures one arm's training images.

    Args:
        observed: The arm.
        probes: Rows of the probe samples.
        numbers: For each row of the split the number of its sample, where that is known.
    """
    arm, walked = observed.arm, observed.train
    lent, images = arm.train.lent, arm.train.images
    return ImageTrace(
        changing=0.0 if arm.train.feed.arrays else _changing(walked, numbers),
        redrawn=_redrawn(arm, walked, probes),
        alters_input=_alters_input(arm, walked, probes),
        overwritten=lent is not None and images is not None and not np.array_equal(lent, images),
    )


def prepared(arm: Arm, raw: npt.NDArray[Any] | None, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What the arm's preprocessing makes of raw samples; their images as they are where it is not known."""
    return images if raw is None or arm.prepare is None else arm.prepare(raw)


def scalings(seen: Sequence[Seen], images: npt.NDArray[Any]) -> tuple[ScalingTrace, ...]:
    """The layers in front of the first kernel whose output is an affine map of their input.

    Args:
        seen: Layer calls of one pass, in order.
        images: ``(n, height, width, channels)`` as fed to the model.
    """
    found = first_kernel_input(seen, images)
    steps = []
    for call in seen:
        if found is None or call.path == found[0]:
            break
        given = next((array for array in call.inputs if array.shape == images.shape), None)
        made = next((array for array in call.outputs if array.shape == images.shape), None)
        if given is None or made is None or given is made:
            continue
        step = fit_affine(given[:1], made[:1])
        if step is not None and step.explains and not step.identity:
            steps.append(
                ScalingTrace(call.path, float(max(map(abs, step.scale))), float(given.min()), float(given.max()))
            )
    return tuple(steps)


def gap_between(
    left: npt.NDArray[Any] | None, right: npt.NDArray[Any] | None, a: InputTrace | None, b: InputTrace | None
) -> ImageGap | None:
    """How the frozen arm's images follow from the bottleneck arm's.

    Args:
        left: Raw pixels of the bottleneck arm's probe samples, where they are known.
        right: The same of the frozen arm.
        a: What reaches the first kernel in the bottleneck arm.
        b: The same in the frozen arm.
    """
    if left is not None and right is not None:
        return image_gap(left, right)
    return None if a is None or b is None else image_gap(a.tensor, b.tensor)


def preparation(a: InputTrace | None, b: InputTrace | None, gap: ImageGap | None, *, redrawn: bool) -> AffineMap | None:
    """The map from the bottleneck arm's preprocessing to the frozen arm's, where both can be told from the pixels.

    Args:
        a: What reaches the first kernel in the bottleneck arm.
        b: The same in the frozen arm.
        gap: How the arms' images differ: before preprocessing where raw pixels are known, else at the kernel.
        redrawn: The images of an arm are not what its preprocessing makes of its raw pixels.
    """
    if a is None or b is None or gap is None:
        return None
    maps = a.against_raw, b.against_raw
    if maps[0] is None or maps[1] is None:
        return gap.smooth
    if gap.smooth is not None and gap.smooth.identity and not redrawn:
        return fit_affine(a.tensor, b.tensor)
    return maps[0].then(maps[1]) if maps[0].explains and maps[1].explains else None


def _changing(walked: Walk, numbers: npt.NDArray[np.int64] | None) -> float:
    """Share of the samples that two epochs show with different pixels."""
    if len(walked.order.samples) < 2 or walked.x.ndim != 4:  # noqa: PLR2004
        return 0.0
    first, second = walked.order.samples[:2]
    if numbers is not None:
        later = dict(zip(numbers[second].tolist(), second.tolist(), strict=True))
        pairs = [(row, later.get(int(numbers[row]), row)) for row in first.tolist() if numbers[row] >= 0]
    else:
        pairs = _paired(walked, first, second)
    if not pairs:
        return 0.0
    spread = float(np.ptp(walked.x)) or 1.0
    differing = [
        a != b and np.abs(walked.x[a] - np.asarray(walked.x[b], float)).max() > SAME * spread for a, b in pairs
    ]
    return float(np.mean(differing))


def _paired(walked: Walk, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Rows of one sample in two epochs of an iterator that nothing else is known of."""
    if np.isin(second, first).any():
        return []  # it yields again what it yielded before: nothing is augmented, or not all
    labels = walked.order.labels
    x = walked.x[first], walked.x[second]
    if np.array_equal(labels[0], labels[1]) and in_order(*x, labels[0]):
        return list(zip(first.tolist(), second.tolist(), strict=True))
    rows = assign(*x, labels[0], labels[1])
    if rows is None:
        return []
    return [(int(first[row]), int(second[place])) for place, row in enumerate(rows) if row >= 0]


def _redrawn(arm: Arm, walked: Walk, probes: npt.NDArray[np.int64]) -> float | None:
    if walked.raw is None or walked.images is None or arm.prepare is None:
        return None
    fed, plain = walked.images[probes], arm.prepare(walked.raw[probes])
    if fed.shape != plain.shape:
        return 1.0
    spread = float(np.ptp(plain)) or 1.0
    return float((np.abs(fed - plain).reshape(len(fed), -1).max(axis=1) > SAME * spread).mean())


def _alters_input(arm: Arm, walked: Walk, probes: npt.NDArray[np.int64]) -> bool | None:
    if arm.own_prepare is None or walked.raw is None:
        return None
    given = np.array(walked.raw[probes], np.float32)
    before = given.copy()
    with user_code(arm.made_by, "preprocessing some samples again"):
        arm.own_prepare(given)
    return not np.array_equal(before, given)
