"""Features that the user stored."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.arms.stored_features import read_features
from equivcheck.errors import InputError

FEATURES = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [("f.npz", {"features": FEATURES, "labels": np.arange(4)}), ("f.npz", {"arr_0": FEATURES})],
)
def test_an_archive(tmp_path, name, arrays):
    np.savez(tmp_path / name, **arrays)
    np.testing.assert_array_equal(read_features(tmp_path / name, 4, (3,)), FEATURES)


def test_an_array_whose_rows_were_flattened(tmp_path):
    np.save(tmp_path / "f.npy", FEATURES)
    assert read_features(tmp_path / "f.npy", 4, (1, 1, 3)).shape == (4, 1, 1, 3)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (FEATURES[:3], r"has shape \(3, 3\); the split holds 4 samples, one row each"),
        (FEATURES[:, :2], r"holds rows of shape \(2,\); the backbone gives \(3,\)"),
        (FEATURES.astype(int), "expected float features"),
        (FEATURES * np.nan, "not all finite"),
        (np.array(["a"] * 4, object), "holds objects, which are never unpickled"),
        (np.float32(3), r"has shape \(\)"),
    ],
)
def test_what_is_refused(tmp_path, array, message):
    np.save(tmp_path / "f.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        read_features(tmp_path / "f.npy", 4, (3,))


def test_an_archive_without_features_names_what_it_has(tmp_path):
    np.savez(tmp_path / "f.npz", a=FEATURES, b=FEATURES)
    with pytest.raises(InputError, match="has no array 'features'; it has 'a', 'b'"):
        read_features(tmp_path / "f.npz", 4, (3,))


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "f.npy").write_text("no array", encoding="utf-8")
    with pytest.raises(InputError, match=r"it is neither \.npy nor \.npz"):
        read_features(tmp_path / "f.npy", 4, (3,))
