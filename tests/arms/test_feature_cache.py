"""Stored features: right or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

IMAGES = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
IDS = ("a", "b", "c", "d")
FEATURES = IMAGES[:, :2] * 3


@pytest.fixture
def network():
    import keras

    def of(units=2, name="base", activation=None):
        keras.utils.set_random_seed(0)
        return keras.Sequential(
            [keras.Input((6,), name="i"), keras.layers.Dense(units, activation=activation, name="d")], name=name
        )

    return of


@pytest.fixture
def ask(tmp_path, network):
    """Asks the cache; the features it gives, and whether they were computed."""
    from equivcheck.arms.feature_cache import cached_features

    def of(folder=tmp_path / "cache", model=None, images=IMAGES, ids=IDS, batch_size=2, features=FEATURES):
        computed = []

        def compute():
            computed.append(1)
            return features

        given = cached_features(folder, model or network(), images, ids, batch_size=batch_size, compute=compute)
        return given, bool(computed)

    return of


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").iterdir())


def test_the_second_time_nothing_is_computed(ask, tmp_path):
    first, computed = ask()
    assert computed
    again, computed = ask()
    assert not computed
    np.testing.assert_array_equal(again, first)
    assert again.dtype == first.dtype
    assert len(files(tmp_path)) == 1


def test_the_key_is_the_same_in_another_process(ask, network):
    """Nothing in it depends on object identities, hash seeds or the order of a dictionary."""
    ask(model=network())
    assert not ask(model=network())[1]


def test_a_new_weight_is_another_key(ask, network):
    ask()
    model = network()
    model.set_weights([weight + np.float32(1e-6) for weight in model.get_weights()])
    assert ask(model=model)[1]


@pytest.mark.parametrize("changes", [{"activation": "relu"}, {"units": 3}])
def test_another_architecture_is_another_key(ask, network, changes):
    ask()
    assert ask(model=network(**changes))[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"images": IMAGES + np.float32(1e-6)},
        {"images": IMAGES[::-1]},
        {"images": IMAGES.astype(np.float64)},
        {"images": IMAGES.reshape(4, 3, 2)},
        {"ids": IDS[::-1]},
        {"batch_size": 1},
    ],
    ids=["pixel", "order of images", "type", "shape", "order of ids", "batch size"],
)
def test_all_else_that_features_depend_on_is_in_the_key(ask, changes):
    ask()
    assert ask(**changes)[1]


@pytest.mark.parametrize(
    ("attribute", "value"), [("keras.__version__", "0.0"), ("tf.__version__", "0.0")], ids=["Keras", "TensorFlow"]
)
def test_so_are_the_versions(ask, monkeypatch, attribute, value):
    ask()
    monkeypatch.setattr(f"equivcheck.arms.feature_cache.{attribute}", value)
    assert ask()[1]


def test_so_is_the_choice_of_kernels(ask, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    ask()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert ask()[1]


def test_legacy_semantics_are_another_key(ask):
    """The same names and weights, another class."""
    import keras

    from equivcheck.arms.legacy import own_copy

    model = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization()])
    ask(model=own_copy(model, None))
    assert ask(model=own_copy(model, "2.1"))[1]


def test_without_a_folder_nothing_is_kept(ask, tmp_path):
    assert ask(folder=None)[1]
    assert ask(folder=None)[1]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("damage", ["empty", "cut off", "text", "folder", "too few", "no checksum", "object"])
def test_a_file_that_is_broken_is_computed_again(ask, tmp_path, damage):
    ask()
    (name,) = files(tmp_path)
    path = tmp_path / "cache" / name
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "too few":
        from equivcheck.arms.feature_cache import _write

        _write(path, FEATURES[:2])
    elif damage == "no checksum":
        np.savez(path, features=FEATURES)
    elif damage == "object":
        np.savez(path, features=np.array([None]), checksum="x")
    else:
        path.write_bytes({"empty": b"", "cut off": whole[: len(whole) // 2], "text": b"hello"}[damage])
    given, computed = ask()
    assert computed
    np.testing.assert_array_equal(given, FEATURES)
    assert ask()[1] is (damage == "folder")


def test_no_flipped_bit_goes_unnoticed(ask, tmp_path):
    ask()
    (name,) = files(tmp_path)
    path = tmp_path / "cache" / name
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        np.testing.assert_array_equal(ask()[0], FEATURES)


def test_a_folder_that_cannot_be_written_costs_time_only(ask, tmp_path):
    """Tests may run as root, whom no permission stops; so the folder lies below a file."""
    (tmp_path / "file").touch()
    given, computed = ask(folder=tmp_path / "file" / "cache")
    assert computed
    np.testing.assert_array_equal(given, FEATURES)


def test_a_full_disk_costs_time_only_and_leaves_nothing(ask, tmp_path, monkeypatch):
    def full(file, **_):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    given, _ = ask()
    np.testing.assert_array_equal(given, FEATURES)
    assert files(tmp_path) == []


def test_an_interrupt_while_it_is_written_leaves_nothing(ask, tmp_path, monkeypatch):
    def interrupted(file, **_):
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ask()
    assert files(tmp_path) == []


def test_a_file_is_there_as_a_whole_or_not_at_all(ask, tmp_path, monkeypatch):
    """Two runs may share the folder: a file gets its name when it is complete."""
    seen = []
    replace = Path.replace

    def watched(self, target):
        seen.append((self.suffix, self.stat().st_size, target.exists()))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    ask()
    ((suffix, size, existed),) = seen
    (name,) = files(tmp_path)
    assert (suffix, size, existed) == (".tmp", (tmp_path / "cache" / name).stat().st_size, False)


def test_what_compute_raises_is_not_swallowed(tmp_path, network):
    from equivcheck.arms.feature_cache import cached_features

    def compute():
        raise OSError("the backbone's own")

    with pytest.raises(OSError, match="the backbone's own"):
        cached_features(tmp_path, network(), IMAGES, IDS, batch_size=2, compute=compute)


def test_the_folder(monkeypatch):
    from equivcheck.arms.feature_cache import default_folder

    for name in ("EQUIVCHECK_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert default_folder() == Path.home() / ".cache" / "equivcheck"
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.join(os.sep, "xdg"))  # noqa: PTH118  (an environment variable is text)
    assert default_folder() == Path("/xdg/equivcheck")
    monkeypatch.setenv("EQUIVCHECK_CACHE", "mine")
    assert default_folder() == Path("mine")
