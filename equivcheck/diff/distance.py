"""How far two arrays are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.measured import Distance

#: Relative difference up to which two activations count as equal. Kernels for batches of one and of several differ by
#: up to 6e-7 (measured on InceptionV3, MobileNetV2 and EfficientNetB0, CPU); this leaves a factor of sixteen for depth.
NOISE = 1e-5


def distance(reference: npt.NDArray[Any], other: npt.NDArray[Any]) -> Distance:
    """Distance of ``other`` from ``reference``, which has the same shape.

    Returns:
        ``max_abs`` in the arrays' unit, ``max_rel`` as a multiple of the largest absolute value of ``reference``,
        and the cosine of the two as flat vectors. NaN in one array only gives infinity.
    """
    a, b = np.asarray(reference, np.float64).ravel(), np.asarray(other, np.float64).ravel()
    if np.array_equal(a, b, equal_nan=True):
        return Distance(0.0, 0.0, 1.0)
    gap = np.abs(a - b)
    if not np.isfinite(gap).all():
        return Distance(float("inf"), float("inf"), float("nan"))
    largest = float(gap.max())
    scale = float(np.abs(a).max())
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return Distance(
        max_abs=largest,
        max_rel=largest / scale if scale else float("inf"),
        cosine=float(a @ b) / norms if norms else 0.0,
    )


def differs(gap: Distance | None) -> bool:
    """Whether a distance is more than float noise."""
    return gap is not None and not gap.max_rel <= NOISE
