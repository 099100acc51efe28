"""Finished replays on disk, so that a training that was run once need not be run again.

One ``.npz`` file a key, with a checksum. A file that cannot be read or does not match is ignored, and one that cannot
be written costs time and not the result. Two runs at once write the same content under the same name, each in one
step, so that neither reads half of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

#: Seconds after which nobody writes to a temporary file any more; writing one takes milliseconds.
_ABANDONED = 3600.0


@dataclass(frozen=True, slots=True)
class Stored:
    """The outcome of one training.

    Attributes:
        curves: Values per epoch, by metric.
        weights: What training left in the variables that it moved, by their place in the model's own order.
        why: How it was run.
    """

    curves: Mapping[str, tuple[float, ...]]
    weights: Mapping[int, npt.NDArray[Any]]
    why: str


def read(folder: Path, key: str) -> Stored | None:
    """A finished replay; None where there is none that can be trusted.

    Args:
        folder: Where replays are kept.
        key: ``key.key_of``.
    """
    try:
        # Opened here, because np.load leaves open what it fails on.
        with _path(folder, key).open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            about, values, packed = str(archive["about"]), archive["curves"], archive["weights"]
            if str(archive["checksum"]) != _checksum(about, values, packed):
                return None
        told = json.loads(about)
        weights = _unpacked(packed, told["weights"])
        curves = {name: tuple(map(float, column)) for name, column in zip(told["curves"], values, strict=True)}
    except Exception:  # noqa: BLE001  (zip, zlib and NumPy each have their own for a broken file; it is run again)
        return None
    return Stored(curves, weights, told["why"])


def write(folder: Path, key: str, stored: Stored) -> None:
    """Keeps a finished replay, if that is possible.

    Args:
        folder: Where replays are kept; it is made if it does not exist.
        key: ``key.key_of``.
        stored: The outcome. All curves have the same number of epochs.
    """
    values = np.array(list(stored.curves.values()), np.float64)
    # Packed, because an archive takes as long for each array as for the bytes of hundreds.
    packed = np.concatenate([*map(_bytes, stored.weights.values()), np.zeros(0, np.uint8)])
    shapes = [[place, weight.dtype.name, weight.shape] for place, weight in stored.weights.items()]
    about = json.dumps({"curves": list(stored.curves), "weights": shapes, "why": stored.why})
    checksum = _checksum(about, values, packed)
    with contextlib.suppress(OSError):  # a full disk, a folder that is not ours
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as file:
            try:
                np.savez(file, curves=values, weights=packed, about=about, checksum=checksum)
                file.flush()
                Path(file.name).replace(_path(folder, key))
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise


@cache
def _sweep(folder: Path) -> None:
    """Removes, once a process, what runs that were killed while they wrote have left behind."""
    for left in folder.glob("*.tmp"):
        with contextlib.suppress(OSError):  # another run was faster
            if time.time() - left.stat().st_mtime > _ABANDONED:
                left.unlink()


def _path(folder: Path, key: str) -> Path:
    return folder / f"replay-{key}.npz"


def _bytes(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _unpacked(packed: npt.NDArray[np.uint8], shapes: Sequence[Any]) -> dict[int, npt.NDArray[Any]]:
    """What was packed, by place."""
    kinds = [np.dtype(name) for _, name, _ in shapes]
    sizes = [kind.itemsize * math.prod(shape) for kind, (_, _, shape) in zip(kinds, shapes, strict=True)]
    parts = np.split(packed, np.cumsum(sizes)[:-1]) if sizes else []
    return {
        int(place): part.copy().view(kind).reshape(shape)
        for part, kind, (place, _, shape) in zip(parts, kinds, shapes, strict=True)
    }


def _checksum(about: str, *arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.blake2b(about.encode(), digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(_bytes(array).data)
    return digest.hexdigest()
