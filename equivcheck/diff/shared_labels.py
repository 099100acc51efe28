"""The class index that each arm gives to the samples that both show."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from equivcheck.evidence import Evidence, OrderTrace

Labels = npt.NDArray[np.int64]


def shared_labels(evidence: Evidence) -> Mapping[str, tuple[Labels, Labels]]:
    """Both arms' labels of the samples that are known to be the same.

    Returns:
        By split, ``training`` and ``validation``: ``(n,)`` indices in the bottleneck arm, and those of the same samples
        in the frozen arm; a split in which none is known is missing.
    """
    if not evidence.matched:
        return evidence.recognised
    ours, theirs = evidence.bottleneck, evidence.frozen
    pairs = {"training": _paired(ours.train, theirs.train)}
    if evidence.validation_matched and ours.validation is not None and theirs.validation is not None:
        pairs["validation"] = _paired(ours.validation, theirs.validation)
    return {split: both for split, both in pairs.items() if len(both[0])}


def _paired(ours: OrderTrace, theirs: OrderTrace) -> tuple[Labels, Labels]:
    mine, other = ours.by_sample(), theirs.by_sample()
    shared = sorted(mine.keys() & other.keys())
    return np.array([mine[row] for row in shared], int), np.array([other[row] for row in shared], int)
