"""Brings TensorFlow up once, quiet and deterministic, before anything else of it is imported."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
import tempfile
import typing
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
    if sys.version_info < (3, 12):
        _know_protocols()
    with _silent_library(), _uncollected():
        import tensorflow as tf  # noqa: PLC0415  (the wall: nothing imports it before this)

        tf.get_logger().setLevel("ERROR")
        tf.config.experimental.enable_op_determinism()
        tf.constant(0)  # starts the runtime, which has more to say
        if sys.version_info[:2] == (3, 11) and platform.libc_ver()[0] == "glibc":
            _keep_freed_memory()


def _know_protocols() -> None:
    """Lets Python before 3.12 remember which attributes a protocol asks for, as later ones do (python/cpython#74690).

    TensorFlow and Keras ask of every value whether it obeys a protocol, and each time all bases of that were gone
    through: four fifths of the question.
    """
    name = "_get_protocol_attrs"  # of no public name, so that a Python without it is left as it is
    if (asked := getattr(typing, name, None)) is not None:
        setattr(typing, name, cache(asked))


def _keep_freed_memory() -> None:
    """Lets freed memory be used again, which TensorFlow forbids to Python 3.11 at the first dataset of a generator.

    From then on it would hand every tensor of 128 KiB and more back to the system (against a leak in trainings of
    days, tensorflow#65675), and whoever asks for the next one waits until the system has emptied it: a third of a
    check's time. TensorFlow does so once; the values set after it are the highest that glibc itself comes to (malloc's
    ``M_MMAP_THRESHOLD`` and twice as much for ``M_TRIM_THRESHOLD``, mallopt(3)).
    """
    import tensorflow as tf  # noqa: PLC0415

    nothing = tf.function(lambda: tf.constant(0), autograph=False).get_concrete_function()
    tf.raw_ops.GeneratorDataset(  # never iterated: making it is what TensorFlow looks at
        **dict.fromkeys(("init_func", "next_func", "finalize_func"), nothing),
        **dict.fromkeys(("init_func_other_args", "next_func_other_args", "finalize_func_other_args"), ()),
        output_types=[tf.int32],
        output_shapes=[()],
    )
    mmap_threshold, trim_threshold, most = -3, -1, 32 << 20
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_threshold, most)
    libc.mallopt(trim_threshold, 2 * most)


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
