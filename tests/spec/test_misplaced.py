"""Keys that stand where they mean nothing."""

from __future__ import annotations

import pytest

from equivcheck.spec.misplaced import misplaced


@pytest.mark.parametrize(
    ("arm", "data", "expected"),
    [
        ("bottleneck", {"features": {"train": "f.npy"}}, []),
        ("frozen", {"features": {"train": "f.npy"}}, ["features"]),
        ("frozen", {"training": {"samples_per_epoch": 3}}, ["training.samples_per_epoch"]),
        ("frozen", {"training": {"validation_samples": 3}, "keras_semantics": "2.1"}, ["training.validation_samples"]),
        ("frozen", {"training": {"samples_per_epoch": 3}, "keras_semantics": "1.2"}, []),
        ("frozen", {"training": {"samples_per_epoch": 3}, "keras_semantics": "3"}, []),
        ("frozen", {"training": {"validation_steps": 3}, "keras_semantics": "1"}, ["training.validation_steps"]),
        ("frozen", {"training": {"validation_steps": 3}}, []),
        (
            "frozen",
            {"training": {"samples_per_epoch": 3, "shuffle": {"buffer": 3}}, "keras_semantics": "1.2"},
            ["training.shuffle"],
        ),
        ("frozen", {"training": 7, "keras_semantics": 1.2}, []),
    ],
)
def test_misplaced(arm, data, expected):
    assert [key for key, _ in misplaced(arm, data)] == expected
