"""Numbers as they were printed, with what printing may have taken from them."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

#: ``0.7500``, ``5.6636e-04``, ``0,75``, ``0.0000e + 00`` (a translator's spaces), ``nan``.
NUMERAL = r"[-+]?(?:\d+(?:[.,]\d+)?|\.\d+)(?:\s?[eE]\s?[-+]?\s?\d+)?(?![\d.]*\d)|[-+]?(?:nan|inf)\w*"

_PARTS = re.compile(r"[-+]?\d*(?:\.(\d+))?(?:e([-+]?\d+))?")

#: Keras averages in float32, which holds 24 binary digits.
_FLOAT32 = 2.0**-23


class Numeral(NamedTuple):
    """One printed number.

    Attributes:
        value: What was printed.
        rounding: The largest error that its last digit and float32 leave open; 0 for NaN and infinity.
    """

    value: float
    rounding: float


def numeral(text: str) -> Numeral:
    """Reads one number.

    Raises:
        ValueError: It is none.
    """
    plain = re.sub(r"\s", "", text).replace(",", ".").lower()
    value = float(plain)
    parts = _PARTS.fullmatch(plain)
    if parts is None or not math.isfinite(value):
        return Numeral(value, 0.0)
    decimals = len(parts[1] or "") - int(parts[2] or 0)
    return Numeral(value, 0.5 * 10.0**-decimals + _FLOAT32 * abs(value))
