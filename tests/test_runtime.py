"""TensorFlow is brought up once, quiet and deterministic."""

from __future__ import annotations

import os
import subprocess
import sys
import typing

import pytest

from equivcheck import __version__
from equivcheck.runtime import machine, versions

#: Fails to import, after its library has complained on the file descriptor of stderr.
BROKEN = "import os; os.write(2, b'libcudart is too old\\n'); raise ImportError('no TensorFlow here')\n"


def test_versions_of_what_a_result_depends_on():
    found = versions()
    assert set(found) == {"python", "equivcheck", "tensorflow", "keras", "numpy"}
    assert found["equivcheck"] == __version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_source_tree_that_is_not_installed_has_no_version(monkeypatch):
    from equivcheck import runtime

    def unknown(package):
        raise runtime.PackageNotFoundError(package)

    monkeypatch.setattr(runtime, "version", unknown)
    assert versions()["keras"] == "unknown"


def test_the_machine(monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert machine()["onednn"] == "default"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert machine()["onednn"] == "0"
    assert machine()["cores"] == os.cpu_count()


def test_what_the_library_said_is_shown_where_it_cannot_be_loaded(tmp_path):
    (tmp_path / "tensorflow.py").write_text(BROKEN, encoding="utf-8")
    program = (
        "from equivcheck import runtime\ntry:\n    runtime.prepare()\nexcept ImportError as error:\n    print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert result.stdout == "no TensorFlow here\n"
    assert result.stderr == "libcudart is too old\n"


@pytest.mark.tensorflow
def test_tensorflow_comes_up_deterministic_and_without_a_word():
    """In a process of its own; a log level that the user has set stays, and a second call is nothing."""
    program = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
from equivcheck import runtime
runtime.prepare()
runtime.prepare()
import tensorflow as tf
try:
    tf.random.normal((2,))
except RuntimeError as error:
    assert "determinism" in str(error), error
else:
    raise AssertionError("random numbers without a seed")
assert (os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["KERAS_BACKEND"]) == ("2", "tensorflow")
"""
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.tensorflow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the page faults of Linux")
def test_freed_memory_is_used_again_after_a_dataset_of_a_generator():
    """TensorFlow gives it back to the system from then on, in Python 3.11: each array would then be 512 pages anew."""
    program = """
from equivcheck import runtime
runtime.prepare()
import resource
import numpy as np
import tensorflow as tf
of_generator = tf.data.Dataset.from_generator(lambda: iter([1]), output_signature=tf.TensorSpec((), tf.int32))
assert [int(number) for number in of_generator] == [1]
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range(100):
    np.ones(2 << 20, np.uint8)
print(faults() - before)
"""
    result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(result.stdout) < 10_000


@pytest.mark.tensorflow
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="Python itself remembers what a protocol asks for")
def test_what_a_protocol_asks_for_is_found_out_once():
    """And the answers are as they were."""

    @typing.runtime_checkable
    class Named(typing.Protocol):
        name: str

        def call(self) -> None: ...

    class Half:
        name = "half"

    class Whole(Half):
        def call(self) -> None: ...

    for _ in range(2):
        assert isinstance(Whole(), Named)
        assert not isinstance(Half(), Named)
    before = typing._get_protocol_attrs.cache_info()
    isinstance(Half(), Named)
    after = typing._get_protocol_attrs.cache_info()
    assert (after.misses, after.hits > before.hits) == (before.misses, True)
