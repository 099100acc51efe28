"""A head that starts from stored weights, and what is said of files that hold no such weights."""

from __future__ import annotations

import re

import numpy as np
import pytest

from equivcheck.errors import InputError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def head():
    import keras

    return keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)])


def load(head, path):
    from equivcheck.arms.head_weights import load_head_weights

    load_head_weights(head.layers, path)


def test_the_weights_are_those_of_the_file(head, tmp_path):
    stored = [np.arange(6, dtype=np.float32).reshape(3, 2), np.array([7.0, 8.0], np.float32)]
    np.savez(tmp_path / "head.npz", *stored)
    load(head, tmp_path / "head.npz")
    for found, expected in zip(head.get_weights(), stored, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ([np.zeros((2, 3)), np.zeros(2)], "holds arrays of shapes (2, 3), (2,); the head's weights have (3, 2), (2,)"),
        ([], "holds arrays of shapes none"),
        ([np.zeros((3, 2)), np.array([np.nan, 0])], "not all finite"),
        ([np.zeros((3, 2)), np.array([1, 2])], "holds int64"),
        ([np.array([{}]), np.zeros(2)], "it holds objects, which are never unpickled"),
    ],
)
def test_other_arrays_are_refused(head, tmp_path, arrays, said):
    np.savez(tmp_path / "head.npz", *arrays)
    with pytest.raises(InputError, match=re.escape(said)):
        load(head, tmp_path / "head.npz")


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(head, tmp_path, content):
    (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"head\.npz: cannot be read as weights of a head"):
        load(head, tmp_path / "head.npz")


def test_another_seed_keeps_them(tiny, tmp_path):
    """The weights of a trained head are no draw."""
    from equivcheck.arms.build import Builder
    from equivcheck.arms.reseeded import reseeded
    from equivcheck.spec import resolve

    path = tmp_path / "head.npz"
    np.savez(path, np.ones((6, 3), np.float32), np.zeros(3, np.float32))
    experiment = resolve(tiny.patched({"frozen.head_weights": str(path)}))
    arm = Builder(experiment).build("frozen")
    again = reseeded(arm, resolve(tiny.patched({"frozen.head_weights": str(path), "training.seed": 5})).frozen)
    assert again.seed == 5
    np.testing.assert_array_equal(arm.model.get_weights()[-2], np.ones((6, 3)))
    np.testing.assert_array_equal(again.model.get_weights()[-2], np.ones((6, 3)))
