"""How far two arrays are apart, and when that is more than rounding."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from equivcheck.diff.tally import tally
from equivcheck.measured import Distance

#: A measured floor is the answer to one perturbation of the input by one rounding; other roundings of the same size
#: answer differently, and a kernel rounds more than once. Measured: see tests/trace/test_floor.py.
FLOORS = 8


def distance(reference: npt.NDArray[Any], other: npt.NDArray[Any]) -> Distance:
    """Distance of ``other`` from ``reference``, which has the same shape.

    Returns:
        ``max_abs`` in the arrays' unit, ``max_rel`` as a multiple of the largest absolute value of ``reference``,
        and the cosine of the two as flat vectors. NaN in one array only gives infinity.
    """
    return tally(reference, other).distance()


def differs(gap: Distance | None) -> bool:
    """Whether a distance is more than rounding, of its type and as measured to be amplified on the way."""
    return gap is not None and not gap.max_rel <= max(gap.noise, FLOORS * (gap.floor or 0.0))
