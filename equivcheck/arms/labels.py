"""Class indices as the arrays that a loss is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.spec.model import Labels


def encode(labels: npt.NDArray[np.int64], encoding: Labels, classes: int) -> npt.NDArray[Any]:
    """Encodes class indices.

    Args:
        labels: ``(n,)`` class indices.
        encoding: ``sparse`` gives ``(n, 1)`` int64, ``one_hot`` ``(n, classes)`` float32, ``binary`` ``(n, 1)``
            float32.
        classes: Number of classes.
    """
    if encoding == "one_hot":
        return np.eye(classes, dtype=np.float32)[labels]
    if encoding == "binary":
        return labels.astype(np.float32)[:, None]
    return labels[:, None]
