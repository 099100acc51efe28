"""The tensor that reaches the first layer with a kernel: what preprocessing really delivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from equivcheck.trace.layers import Seen, weights_of

_KERNEL_RANK = 2


def has_kernel(call: Seen) -> bool:
    """Whether the layer convolves or multiplies."""
    return any(len(variable.shape) >= _KERNEL_RANK for variable in weights_of(call.layer))


def first_kernel_input(seen: Sequence[Seen], images: npt.NDArray[Any]) -> tuple[str, npt.NDArray[Any]] | None:
    """Path of the first layer that convolves or multiplies, and the image that reaches it.

    Layers that scale (Rescaling, Normalization) belong to the preprocessing, wherever they stand; layers that pad do
    not, so what is returned is the last tensor before the kernel that still has the shape of the images.

    Args:
        seen: Layer calls in order of execution.
        images: ``(n, height, width, channels)`` as fed to the model.
    """
    latest = images
    for call in seen:
        latest = next((array for array in call.inputs if array.shape == images.shape), latest)
        if has_kernel(call):
            return call.path, latest
        latest = next((array for array in call.outputs if array.shape == images.shape), latest)
    return None
