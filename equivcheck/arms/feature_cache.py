"""Stored bottleneck features, so that a backbone runs over a data set once.

One ``.npz`` file per key. The key covers everything that the features depend on; a file that cannot be read or does
not match its checksum is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf


def cached_features(
    folder: Path | None,
    extractor: keras.Model,
    images: npt.NDArray[np.float32],
    ids: Sequence[str],
    *,
    batch_size: int,
    compute: Callable[[], npt.NDArray[Any]],
) -> npt.NDArray[Any]:
    """Features from the cache, or computed and stored.

    Args:
        folder: Where the cache lies; None turns it off, as it must be for a backbone made by the user's own code,
            whose changes no key can see.
        extractor: The backbone up to the cut.
        images: ``(n, height, width, channels)`` as fed to it, so that preprocessing and image size are covered.
        ids: Sample ids.
        batch_size: Images per ``predict`` batch; a batch of one runs other kernels than larger ones.
        compute: Called when the cache has nothing.

    Returns:
        ``(n, ...)`` features.
    """
    if folder is None:
        return compute()
    path = folder / f"{_key(extractor, images, ids, batch_size)}.npz"
    stored = _read(path)
    if stored is not None and len(stored) == len(ids):
        return stored
    features = compute()
    # A cache that cannot be written costs time, not the result.
    with contextlib.suppress(OSError):
        _write(path, features)
    return features


def default_folder() -> Path:
    """``$EQUIVCHECK_CACHE``, else ``equivcheck`` in the user's cache folder (XDG base directory specification)."""
    named = os.environ.get("EQUIVCHECK_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "equivcheck"


def _key(extractor: keras.Model, images: npt.NDArray[Any], ids: Sequence[str], batch_size: int) -> str:
    digest = hashlib.blake2b(digest_size=20)
    about = {
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        "model": extractor.to_json(),
        "batch_size": batch_size,
        "ids": list(ids),
        "images": [str(images.dtype), images.shape],
    }
    digest.update(json.dumps(about, sort_keys=True).encode())
    for weight in extractor.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def _checksum(features: npt.NDArray[Any]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(features).tobytes(), digest_size=16).hexdigest()


def _read(path: Path) -> npt.NDArray[Any] | None:
    try:
        # Opened here, because np.load leaves open what it fails on.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            features: npt.NDArray[Any] = archive["features"]
            return features if str(archive["checksum"]) == _checksum(features) else None
    except Exception:  # noqa: BLE001  (zip, zlib and NumPy each have their own for a broken file; it is computed again)
        return None


def _write(path: Path, features: npt.NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            np.savez(file, features=features, checksum=np.array(_checksum(features)))
            file.flush()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
