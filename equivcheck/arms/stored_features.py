"""Bottleneck features that the user stored before, read from .npy or .npz."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.errors import InputError

#: The array of an archive that holds several.
_NAME = "features"


def read_features(path: Path, samples: int, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Reads one split's features.

    Args:
        path: ``.npy``, or ``.npz`` with an array named ``features`` or with only one array.
        samples: Rows that there must be, one for each sample.
        shape: Shape of one row, as the backbone gives it.

    Returns:
        ``(samples, ...)`` features; a flattened row is given the backbone's shape.

    Raises:
        InputError: It cannot be read, or holds something else.
    """
    features = _read(path)
    if features.dtype.kind != "f" or not np.isfinite(features).all():
        raise InputError(f"{path}: holds {features.dtype} that is not all finite numbers; expected float features")
    if features.ndim == 0 or len(features) != samples:
        raise InputError(f"{path}: has shape {features.shape}; the split holds {samples} samples, one row each")
    row = tuple(features.shape[1:])
    if None in shape:
        return features
    if row != shape and int(np.prod(row)) != int(np.prod([size or 0 for size in shape])):
        raise InputError(f"{path}: holds rows of shape {row}; the backbone gives {shape}")
    return features.reshape(samples, *[size or 0 for size in shape])


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        # Opened here, because np.load leaves open what it fails on. Object arrays are pickles, and unpickling runs
        # code: never allowed.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                return np.asarray(loaded)
            arrays = loaded.files
            name = _NAME if _NAME in arrays else arrays[0] if len(arrays) == 1 else None
            if name is not None:
                return np.asarray(loaded[name])
    except Exception as error:  # noqa: BLE001  (zip, zlib and NumPy each have their own for a broken file)
        reason = "it is neither .npy nor .npz" if "pickle" in str(error) else str(error) or type(error).__name__
        if "Object arrays" in str(error):
            reason = "it holds objects, which are never unpickled; save plain numbers"
        raise InputError(f"{path}: cannot be read as stored features: {reason}") from None
    raise InputError(f"{path}: has no array {_NAME!r}; it has {', '.join(map(repr, arrays)) or 'none'}")
