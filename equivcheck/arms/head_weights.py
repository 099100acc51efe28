"""Weights that a head starts from: those of a head that was trained before, read from .npz."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from equivcheck.errors import InputError


def load_head_weights(layers: Sequence[keras.layers.Layer], path: Path) -> None:
    """Sets the weights of a built head.

    Args:
        layers: Its layers.
        path: What ``np.savez(path, *head.get_weights())`` wrote: arrays in the order of the head's weights.

    Raises:
        InputError: It cannot be read, or holds other arrays than the head has weights.
    """
    stored = _read(path)
    wanted = [variable for layer in layers for variable in layer.weights]
    if [array.shape for array in stored] != [tuple(variable.shape) for variable in wanted]:
        shapes = ", ".join(str(tuple(variable.shape)) for variable in wanted)
        raise InputError(
            f"{path}: holds arrays of shapes {', '.join(str(array.shape) for array in stored) or 'none'}; the head's "
            f"weights have {shapes}; write it by np.savez(path, *head.get_weights())"
        )
    for variable, array in zip(wanted, stored, strict=True):
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(f"{path}: holds {array.dtype} that is not all finite numbers; expected float weights")
        variable.assign(array)


def _read(path: Path) -> list[np.ndarray]:
    try:
        # Object arrays are pickles, and unpickling runs code: never allowed.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return [archive[name] for name in archive.files]
    except Exception as error:  # noqa: BLE001  (zip, zlib and NumPy each have their own for a broken file)
        reason = "it is no .npz" if "pickle" in str(error) else str(error) or type(error).__name__
        if "Object arrays" in str(error):
            reason = "it holds objects, which are never unpickled; save plain numbers"
        raise InputError(f"{path}: cannot be read as weights of a head: {reason}") from None
