"""Finished replays on disk, so that a training that was run once need not be run again.

One ``.npz`` file a key, with a checksum. A file that cannot be read or does not match is ignored, and one that cannot
be written costs time and not the result. Two runs at once write the same content under the same name, each in one
step, so that neither reads half of it.
"""

from __future__ import annotations

import contextlib
import hashlib
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
            names = [str(name) for name in archive["names"]]
            values = archive["curves"]
            weights = {int(place): archive[f"weight{place}"] for place in archive["places"]}
            why = str(archive["why"])
            if str(archive["checksum"]) != _checksum(names, why, values, weights):
                return None
    except Exception:  # noqa: BLE001  (zip, zlib and NumPy each have their own for a broken file; it is run again)
        return None
    curves = {name: tuple(map(float, column)) for name, column in zip(names, values, strict=True)}
    return Stored(curves, weights, why)


def write(folder: Path, key: str, stored: Stored) -> None:
    """Keeps a finished replay, if that is possible.

    Args:
        folder: Where replays are kept; it is made if it does not exist.
        key: ``key.key_of``.
        stored: The outcome. All curves have the same number of epochs.
    """
    names, values = list(stored.curves), np.array(list(stored.curves.values()), np.float64)
    content: dict[str, Any] = {f"weight{place}": weight for place, weight in stored.weights.items()}
    content |= {"names": np.array(names), "curves": values, "places": np.array(list(stored.weights), np.int64)}
    content |= {"why": np.array(stored.why)}
    content["checksum"] = np.array(_checksum(names, stored.why, values, stored.weights))
    with contextlib.suppress(OSError):  # a full disk, a folder that is not ours
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as file:
            try:
                np.savez(file, **content)
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


def _checksum(names: Sequence[str], why: str, values: npt.NDArray[Any], weights: Mapping[int, npt.NDArray[Any]]) -> str:
    digest = hashlib.blake2b(repr((list(names), why, list(weights))).encode(), digest_size=16)
    for array in (values, *weights.values()):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
