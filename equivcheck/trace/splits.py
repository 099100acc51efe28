"""Whether validation samples are also trained on, within an arm and across the arms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.diff.identity import match_images
from equivcheck.evidence import SplitOverlap
from equivcheck.findings import ArmName
from equivcheck.trace.observed import Observed
from equivcheck.trace.order import fingerprints
from equivcheck.trace.walk import Walk

#: Validation samples that are looked for across the arms: enough to tell a tenth from none.
_SIGHTED = 64


def trace_overlaps(bottleneck: Observed, frozen: Observed) -> tuple[SplitOverlap, ...]:
    """Looks for each arm's validation samples among the training samples of both arms.

    By what is fed, byte by byte; across the arms, whose preprocessing may differ, by what the images show. A pair of
    splits whose samples cannot be compared is left out.
    """
    arms: dict[ArmName, Observed] = {"bottleneck": bottleneck, "frozen": frozen}
    found = []
    for trained, train in arms.items():
        for evaluated, other in arms.items():
            if other.validation is None:
                continue
            alike = trained == evaluated or (train.train.raw is not None and train.train.raw is other.train.raw)
            compare = _by_bytes if alike else _by_sight
            counts = compare(train.train, other.validation)
            if counts is not None:
                found.append(SplitOverlap(trained, evaluated, *counts))
    return tuple(found)


def _by_bytes(train: Walk, validation: Walk) -> tuple[int, int] | None:
    """Validation samples that are fed to training byte by byte, and how many there are; one arm reads both."""
    a, b = _shown(train), _shown(validation)
    if a is None or b is None:
        a, b = train.x, validation.x
    if a.shape[1:] != b.shape[1:] or a.dtype != b.dtype:
        return None
    known = set(fingerprints(a[row] for row in _seen(train, len(train.order.samples))))
    marks = fingerprints(b[row] for row in _seen(validation, 1))
    return sum(mark in known for mark in marks), len(marks)


def _by_sight(train: Walk, validation: Walk) -> tuple[int, int] | None:
    """The same by what the images show, for validation samples spread over the set."""
    a, b = _shown(train), _shown(validation)
    if a is None or b is None or a.ndim != 4 or b.ndim != 4:  # noqa: PLR2004
        return None
    rows = _seen(validation, 1)
    rows = rows[np.linspace(0, len(rows) - 1, min(_SIGHTED, len(rows))).astype(int)]
    return int((match_images(a[_seen(train, len(train.order.samples))], b[rows]) >= 0).sum()), len(rows)


def _seen(walked: Walk, passes: int) -> npt.NDArray[np.int64]:
    """Rows that came in the first passes, each once."""
    rows = np.unique(np.concatenate(walked.order.samples[:passes]))
    return rows[rows >= 0]


def _shown(walked: Walk) -> npt.NDArray[Any] | None:
    """Raw pixels, or images as fed, whichever is known."""
    return walked.raw if walked.raw is not None else walked.images
