"""Brings TensorFlow up once, quiet and deterministic, before anything else of it is imported."""

from __future__ import annotations

import gc
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any


@cache
def prepare() -> None:
    """Imports TensorFlow with its start-up messages off and op determinism on.

    Op determinism cannot be switched off again in a process; it makes two runs of one spec agree to the last bit.
    """
    # Read when TensorFlow's library is loaded; 3 leaves fatal messages only. A user's own setting stays.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _silent_library(), _uncollected():
        import tensorflow as tf  # noqa: PLC0415  (the wall: nothing imports it before this)

        tf.get_logger().setLevel("ERROR")
        tf.config.experimental.enable_op_determinism()
        tf.constant(0)  # starts the runtime, which has more to say


@contextmanager
def _silent_library() -> Iterator[None]:
    """Holds back what the C++ library writes to stderr before its log level is read; shows it if loading fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Imports without looking for garbage, and never looks at what they made again: it stays until the process ends.

    A million objects, which each collection would go through: a fifth of the import, and more with each graph.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if enabled:
            gc.enable()


def versions() -> dict[str, str]:
    """Versions of what a result may depend on."""
    found = {"python": platform.python_version()}
    for package in ("equivcheck", "tensorflow", "keras", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # pragma: no cover  (a source tree on the path, not installed)
            found[package] = "unknown"
    return found


def machine() -> dict[str, Any]:
    """The machine, as far as it can change floating-point results."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }
