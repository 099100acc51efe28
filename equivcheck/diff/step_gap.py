"""How far two versions of one variable are apart: its gradient, its update, an optimizer slot."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.diff.tally import relative
from equivcheck.evidence import VariableGap


def relative_gap(
    reference: npt.NDArray[Any], other: npt.NDArray[Any], *, scale: float | None = None, rounding: float = 0.0
) -> float:
    """Largest absolute difference of two arrays of one shape, beyond rounding, as a multiple of the scale.

    Args:
        reference: The bottleneck arm's.
        other: The frozen arm's.
        scale: The largest absolute value of ``reference`` where not given.
        rounding: Absolute difference that rounding alone explains; that much is not counted.
    """
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape:
        return float("inf")
    if np.array_equal(a, b, equal_nan=True):
        return 0.0
    gap = np.abs(a - b)
    if not np.isfinite(gap).all():
        return float("inf")
    return relative(max(0.0, float(gap.max()) - rounding), float(np.abs(a).max()) if scale is None else scale)


def variable_gap(
    paths: tuple[str, str],
    reference: npt.NDArray[Any] | None,
    other: npt.NDArray[Any] | None,
    *,
    scale: float | None = None,
    rounding: float = 0.0,
) -> VariableGap:
    """Direction and length beside the largest difference; either arm may lack the variable.

    Args:
        paths: Where it is in the bottleneck and in the frozen arm.
        reference: The bottleneck arm's; None where it has none.
        other: The frozen arm's; None where it has none.
        scale: As for ``relative_gap``.
        rounding: As for ``relative_gap``.
    """
    if reference is None and other is None:
        return VariableGap(*paths, max_rel=0.0, cosine=1.0, norm_ratio=1.0)
    if reference is None or other is None or np.shape(reference) != np.shape(other):
        return VariableGap(*paths, max_rel=float("inf"), cosine=0.0, norm_ratio=0.0 if other is None else float("inf"))
    a, b = np.asarray(reference, np.float64).ravel(), np.asarray(other, np.float64).ravel()
    if np.array_equal(a, b, equal_nan=True):
        return VariableGap(*paths, max_rel=0.0, cosine=1.0, norm_ratio=1.0)
    lengths = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    return VariableGap(
        *paths,
        max_rel=relative_gap(a, b, scale=scale, rounding=rounding),
        cosine=float(a @ b) / (lengths[0] * lengths[1]) if all(lengths) else 0.0,
        norm_ratio=relative(lengths[1], lengths[0]),
    )


def rounding_of(*weights: npt.NDArray[Any]) -> float:
    """How far equal updates of a weight may seem apart because the updated weight is stored in its own type.

    Each arm stores weight plus update rounded by up to half the distance of neighbouring numbers; the two halves make
    one whole.
    """
    return max(float(np.spacing(np.abs(value).max(initial=0))) for value in weights)
