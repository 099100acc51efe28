"""A training in phases has a log for each; together they are one."""

from __future__ import annotations

import math

import pytest

from equivcheck.errors import InputError
from equivcheck.observed import read_logs

HEAD = "Epoch 1/3\n1s - loss: 2.00 - val_loss: 1.0\nEpoch 3/3\n1s - loss: 1.50 - val_loss: 0.9\n"
BLOCK = "Epoch 1/2\n2s - loss: 1.0000 - acc: 0.5\nEpoch 2/2\n2s - loss: 0.5000 - acc: 0.75\n"


@pytest.fixture
def read(tmp_path):
    def of(*texts):
        paths = [tmp_path / f"{number}.log" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text, encoding="utf-8")
        return read_logs({"frozen": paths}, 340)["frozen"]

    return of


def test_epochs_count_on_from_those_that_were_planned(read):
    log = read(HEAD, BLOCK)
    assert log.epochs == (1, 3, 4, 5)
    assert log.metrics["loss"] == (2.0, 1.5, 1.0, 0.5)
    assert log.rounding["loss"] == pytest.approx((0.005, 0.005, 0.00005, 0.00005), rel=0.01)
    assert log.seconds == (1.0, 1.0, 2.0, 2.0)
    assert (log.planned_epochs, log.validation_samples) == (5, 340)


def test_what_one_file_does_not_tell_is_not_known(read):
    log = read(HEAD, BLOCK)
    assert repr(log.metrics["accuracy"]) == "(nan, nan, 0.5, 0.75)"
    assert all(map(math.isnan, log.metrics["val_loss"][2:]))


def test_one_file_is_as_it_is(read):
    assert read(HEAD) == read(HEAD)
    assert read(HEAD).epochs == (1, 3)


def test_files_without_headings_count_their_epochs(read):
    bare = "1s - loss: 2.0 - val_loss: 1.0\n1s - loss: 1.5 - val_loss: 0.9\n"
    log = read(bare, bare)
    assert (log.epochs, log.planned_epochs) == ((1, 2, 3, 4), None)


def test_a_file_of_two_trainings_says_what_to_do(read):
    with pytest.raises(InputError, match="a list of files for phases"):
        read(HEAD + BLOCK)
