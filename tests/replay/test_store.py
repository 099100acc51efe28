"""Finished replays on disk: found again, never trusted when broken, never in the way."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def stored():
    from equivcheck.replay.store import Stored

    some = np.arange(6, dtype=np.float32).reshape(2, 3), np.array(float("nan"), np.float32), np.zeros(0, np.int64)
    weights = dict(zip((0, 3, 12), some, strict=True))
    return Stored({"loss": (1.5, float("nan")), "val_loss": (float("inf"), 0.1)}, weights, "because")


def test_what_was_written_is_read(stored, tmp_path):
    from equivcheck.replay.store import read, write

    folder = tmp_path / "not" / "there"
    assert read(folder, "ab") is None
    write(folder, "ab", stored)
    again = read(folder, "ab")
    assert repr(again.curves) == repr(stored.curves)
    assert again.why == stored.why
    assert list(again.weights) == list(stored.weights)
    for place, weight in stored.weights.items():
        np.testing.assert_array_equal(again.weights[place], weight, strict=True)
    assert [path.name for path in folder.iterdir()] == ["replay-ab.npz"]
    assert read(folder, "cd") is None


def test_what_a_killed_run_left_is_removed_when_it_is_old(stored, tmp_path):
    from equivcheck.replay.store import write

    old, new = tmp_path / "old.tmp", tmp_path / "new.tmp"
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    write(tmp_path, "ab", stored)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.tmp", "replay-ab.npz"]


@pytest.mark.parametrize("damage", ["cut off", "a bit flipped", "empty", "other text"])
def test_a_broken_file_is_not_there(damage, stored, tmp_path):
    from equivcheck.replay.store import read, write

    write(tmp_path, "ab", stored)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    place = content.index(np.arange(6, dtype=np.float32).tobytes())
    flipped = content[:place] + b"\x01" + content[place + 1 :]
    broken = {"cut off": content[:-40], "a bit flipped": flipped, "empty": b"", "other text": b"hello"}
    path.write_bytes(broken[damage])
    assert read(tmp_path, "ab") is None
    write(tmp_path, "ab", stored)
    assert read(tmp_path, "ab") is not None


def test_content_that_does_not_match_its_checksum_is_not_there(stored, tmp_path):
    """As where two keys were mixed up: the archive itself is whole."""
    from equivcheck.replay.store import read, write

    write(tmp_path, "ab", stored)
    (path,) = tmp_path.iterdir()
    with np.load(path) as archive:
        content = dict(archive)
    content["curves"] = content["curves"] + 1
    np.savez(path, **content)
    assert read(tmp_path, "ab") is None


def test_a_full_disk_costs_time_alone(stored, tmp_path, monkeypatch):
    from equivcheck.replay import store

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.np, "savez", full)
    store.write(tmp_path, "ab", stored)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_half_way_costs_time_alone(stored, tmp_path):
    """The file may grow to a thousand bytes; the system itself refuses the rest."""
    from equivcheck.replay.store import read, write

    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        write(tmp_path, "ab", stored)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
    assert read(tmp_path, "ab") is None
    write(tmp_path, "ab", stored)
    assert read(tmp_path, "ab") is not None


def test_a_run_that_is_stopped_while_it_writes_leaves_nothing(stored, tmp_path, monkeypatch):
    from equivcheck.replay import store

    def stop(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.np, "savez", stop)
    with pytest.raises(KeyboardInterrupt):
        store.write(tmp_path, "ab", stored)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(stored, tmp_path):
    from equivcheck.replay.store import read, write

    (tmp_path / "file").write_text("here")
    write(tmp_path / "file", "ab", stored)
    assert read(tmp_path / "file", "ab") is None


@pytest.fixture(scope="module")
def keys(tiny):
    """Keys of a spec and of changed ones."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.eligible import build
    from equivcheck.replay.key import key_of
    from equivcheck.spec import resolve

    def arm_of(patch, name="frozen"):
        arm = Builder(resolve(tiny.patched(patch) if patch else tiny)).build(name)
        build(arm)
        return arm

    return SimpleNamespace(arm=arm_of, of=lambda patch, name="frozen": key_of(arm_of(patch, name)))


def test_the_same_training_has_the_same_key(keys):
    assert keys.of({}) == keys.of({}) != keys.of({}, "bottleneck")


@pytest.mark.parametrize(
    "patch",
    [
        {"training.epochs": 3},
        {"training.batch_size": 5},
        {"training.shuffle": False},
        {"training.seed": 1},
        {"training.optimizer": {"name": "adam", "learning_rate": 0.5}},
        {"training.optimizer": {"name": "sgd"}},
        {"labels": "one_hot", "training.loss": "categorical_crossentropy"},
        {"preprocessing": {"rescale": 0.02}},
        {"head": [{"dropout": {"rate": 0.5}}, {"dense": {"units": 3, "activation": "softmax"}}]},
        {"backbone.cut": "dropout"},
        {"frozen.backbone.freeze": False},
    ],
    ids=str,
)
def test_another_training_has_another_key(patch, keys):
    assert keys.of(patch) not in {None, keys.of({})}


def test_a_model_that_is_compiled_again_has_another_key(keys):
    """As in a later phase; what its layers are is known by then."""
    from equivcheck.replay.eligible import build
    from equivcheck.replay.key import Digests, key_of

    arm, digests = keys.arm({"training.optimizer": {"name": "sgd", "momentum": 0.9}}), Digests()
    key = key_of(arm, digests=digests)
    assert key_of(arm, digests=digests) == key
    other = type(arm.model.optimizer).from_config({**arm.model.optimizer.get_config(), "momentum": 0.8})
    arm.model.compile(optimizer=other, loss=arm.model.loss, metrics=["accuracy"])
    build(arm)
    assert key_of(arm, digests=digests) not in {None, key}


def test_a_weight_or_a_sample_makes_another_key(keys):
    from equivcheck.replay.key import key_of

    arm = keys.arm({})
    key = key_of(arm)
    weights = arm.model.get_weights()
    weights[0].flat[0] += 1e-3
    arm.model.set_weights(weights)
    assert key_of(arm) != key
    feed = replace(arm.train.feed, y=np.roll(arm.train.feed.y, 1))
    assert key_of(replace(arm, train=replace(arm.train, feed=feed))) != key_of(arm)
    assert key_of(arm, joined=True) != key_of(arm)


def test_a_replay_that_was_kept_is_not_run_again(keys, tmp_path, monkeypatch):
    """Curves, weights and all other variables are those of the run that was kept."""
    from equivcheck.replay import training
    from equivcheck.trace.state import variables_of

    first, again, other = keys.arm({}), keys.arm({}), keys.arm({"training.epochs": 1})
    run = training.train(first, lambda *_: None, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    told = []
    with monkeypatch.context() as patch:
        patch.setattr(training, "prepare", None)
        read = training.train(again, lambda *done: told.append(done), folder=tmp_path)
    assert (read.curves, read.how, read.why) == (run.curves, run.how, run.why)
    assert told == [(2, 2)]
    for one, two in zip(variables_of(first.model), variables_of(again.model), strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    training.train(other, lambda *_: None, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_code_of_the_users_own_has_no_key(keys, tensorflow):
    """No key could see that it changed."""
    import keras

    from equivcheck.replay.key import key_of

    arm = keys.arm({})
    assert key_of(replace(arm, made_by="theirs:arm")) is None
    assert key_of(replace(arm, fit={**arm.fit, "callbacks": [object()]})) is None

    class Mine(keras.layers.Dense):
        """Another class of the same configuration."""

    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), Mine(3)])
    model.compile("sgd", "mse")
    assert key_of(replace(arm, model=model)) is None
    arm.model.compile("sgd", lambda _labels, given: given[:, 0])
    assert key_of(arm) is None
