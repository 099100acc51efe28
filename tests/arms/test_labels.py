"""Class indices as the arrays that a loss is given."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.arms.labels import encode

INDICES = np.array([2, 0, 1, 2])


@pytest.mark.parametrize(
    ("encoding", "expected", "dtype"),
    [
        ("sparse", [[2], [0], [1], [2]], np.int64),
        ("one_hot", [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32),
        ("binary", [[2], [0], [1], [2]], np.float32),
    ],
)
def test_encodings(encoding, expected, dtype):
    encoded = encode(INDICES, encoding, 3)
    assert encoded.tolist() == expected
    assert encoded.dtype == dtype


def test_classes_that_no_sample_has_keep_their_column():
    assert encode(np.array([0, 1]), "one_hot", 4).shape == (2, 4)


@pytest.mark.parametrize("encoding", ["sparse", "one_hot", "binary"])
def test_no_samples(encoding):
    assert len(encode(np.array([], np.int64), encoding, 3)) == 0
