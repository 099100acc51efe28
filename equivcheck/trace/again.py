"""Whether the user's function gives the same images, and features, when it is called again.

Asked only where a second call can explain what was found: it costs the user's own extraction of features once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.diff.image_gap import image_gap
from equivcheck.diff.nearest import nearest_rows, same_features
from equivcheck.evidence import Evidence
from equivcheck.findings import ArmName
from equivcheck.trace.observed import PROBES, Observed
from equivcheck.trace.walk import walk


def suspects(evidence: Evidence) -> tuple[ArmName, ...]:
    """The arms of which a second call may explain what was found."""
    if _images_suspicious(evidence):
        return ("bottleneck", "frozen")
    stored = evidence.bottleneck.stored
    return () if stored is None or same_features(stored.nearest_distance).all() else ("bottleneck",)


def _images_suspicious(evidence: Evidence) -> bool:
    """Whether one arm's images may be random views, or preprocessed more than once."""
    gap = evidence.image_gap
    if gap is None or gap.kind not in {"affine", "views"}:
        return False
    return not (gap.smooth is not None and gap.smooth.identity)


def called_again(evidence: Evidence, observed: Observed, built: Arm) -> Evidence:
    """The evidence with what became of one arm's images and stored features.

    Args:
        evidence: As measured.
        observed: One arm.
        built: The same arm, built again from another seed.
    """
    evidence = _with_images(evidence, observed, built)
    stored, features = evidence.bottleneck.stored, built.train.feed.rows
    if observed.arm.name != "bottleneck" or stored is None or features is None or not _same_backbone(observed, built):
        return evidence
    rows = stored.rows[stored.rows < len(features)]
    again = nearest_rows(features[rows], rows, observed.train.x)
    drawn = again is not None and not same_features(again.nearest_distance).all()
    return replace(evidence, bottleneck=replace(evidence.bottleneck, stored=replace(stored, drawn=drawn)))


def _same_backbone(observed: Observed, built: Arm) -> bool:
    """Whether features that differ cannot come from other weights."""
    first, second = observed.arm.extractor, built.extractor
    if first is None or second is None:
        return False
    pairs = zip(first.get_weights(), second.get_weights(), strict=False)
    return len(first.weights) == len(second.weights) and all(np.array_equal(*pair) for pair in pairs)


def _with_images(evidence: Evidence, observed: Observed, built: Arm) -> Evidence:
    before, after = observed.train.images, _images_of(built)
    if before is None or after is None or before.ndim != 4 or len(before) != len(after):  # noqa: PLR2004
        return evidence
    rows = np.linspace(0, len(before) - 1, min(PROBES, len(before))).astype(int)
    gap = image_gap(before[rows], after[rows])
    if observed.arm.name == "bottleneck":
        arm = evidence.bottleneck
        return replace(evidence, bottleneck=replace(arm, images=replace(arm.images, again=gap)))
    arm = evidence.frozen
    return replace(evidence, frozen=replace(arm, images=replace(arm.images, again=gap)))


def _images_of(built: Arm) -> npt.NDArray[Any] | None:
    """The images of an arm that was just built; those of a data set are read, and come in its order."""
    if built.train.images is not None or built.extractor is not None or built.train.feed.arrays:
        return built.train.images
    return walk(replace(built, validation=None, seed=built.seed + 1))[0].images


@contextmanager
def kept_arrays(*arms: Arm) -> Iterator[None]:
    """Puts float arrays back as they were: a function that works in place changes them when it is called again."""
    splits = [split for arm in arms for split in (arm.train, arm.validation) if split is not None]
    arrays = [array for split in splits for array in (split.feed.x, split.lent, split.images)]
    arrays += [array for arm in arms for array in arm.rescaled.values()]
    kept = [
        (array, array.copy())
        for array in arrays
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.flags.writeable
    ]
    try:
        yield
    finally:
        for array, copy in kept:
            array[...] = copy
