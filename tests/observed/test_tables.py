"""CSVLogger files and histories as JSON."""

from __future__ import annotations

import json
import math

import pytest

from equivcheck.errors import InputError
from equivcheck.observed import read_log

CSV = """\
epoch,acc,loss,lr,val_acc,val_loss
0,0.25,1.5,0.001,0.3333333432674408,1.4
1,0.5,1.25,0.001,0.6666666865348816,NA
"""


@pytest.fixture
def read(tmp_path):
    def reading(text):
        path = tmp_path / "curves"
        path.write_text(text, encoding="utf-8")
        return read_log(path)

    return reading


@pytest.mark.parametrize(
    "text",
    [CSV, CSV.replace(",", ";"), CSV.replace(",", "\t"), CSV.replace("\n", "\r\n"), "\n" + CSV + "\n"],
)
def test_csv_logger(read, text):
    log = read(text)
    assert (log.format, log.epochs) == ("csv", (1, 2))
    assert log.metrics["accuracy"] == (0.25, 0.5)
    assert log.metrics["val_accuracy"] == (0.3333333432674408, 0.6666666865348816)
    assert log.metrics["lr"] == (0.001, 0.001)
    assert math.isnan(log.metrics["val_loss"][1])
    # A third in float32 is not a third, by less than its last binary digit.
    assert abs(log.metrics["val_accuracy"][0] - 1 / 3) < log.rounding["val_accuracy"][0] < 1e-6


def test_a_table_that_counts_from_one_and_one_that_does_not_count(read):
    assert read("epoch,loss\n1,0.5\n2,0.4\n").epochs == (1, 2)
    assert read("loss,acc\n0.5,0.1\n0.4,0.2\n").epochs == (1, 2)


def test_a_last_row_that_breaks_off_is_left_out(read):
    log = read(CSV + "2,0.75,1.1")
    assert log.epochs == (1, 2)
    assert [(each.first, each.why) for each in log.left_out] == [(4, "a row that breaks off after 3 of 6 values")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,loss\n", "has a header and no row"),
        ("epoch,loss\n0,0.5\n1,0.4,9\n", "3: has 3 values; the header of line 1 names 2"),
        ("epoch,loss\n0,0.5\n1\n2,0.4\n", "3: has 1 values; the header of line 1 names 2"),
        ("epoch,loss\n0,0.5\n1,high\n", "3: loss is 'high'; expected a number"),
        ("epoch,loss\nnan,0.5\n", "2: epoch is 'nan'; expected a number"),
        ("epoch,loss\n0,0.5\n1,0.4\n0,0.5\n", "4: epoch 0 comes after a later one, so the file holds more than one "),
    ],
)
def test_a_broken_table(read, text, message, tmp_path):
    with pytest.raises(InputError) as raised:
        read(text)
    assert str(raised.value).startswith(f"{tmp_path}/curves:")
    assert message in str(raised.value)


HISTORY = {"loss": [1.5, 1.25], "acc": [0.25, 1], "val_loss": [1.4, math.nan], "val_acc": [0.3333333432674408, None]}


@pytest.mark.parametrize(
    "data",
    [
        HISTORY,
        {"history": HISTORY, "params": {"epochs": 2}},
        {name: dict(enumerate(values)) for name, values in HISTORY.items()},
        {name: [None if value is None else str(value) for value in values] for name, values in HISTORY.items()},
    ],
)
def test_history(read, data):
    log = read(json.dumps(data, indent=1))
    assert (log.format, log.epochs) == ("history", (1, 2))
    assert log.metrics["accuracy"] == (0.25, 1.0)
    assert log.metrics["loss"] == (1.5, 1.25)
    assert math.isnan(log.metrics["val_loss"][1])
    assert math.isnan(log.metrics["val_accuracy"][1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"loss": [1,', "1:13: is not valid JSON: Expecting value"),
        ("{}", 'is no history; expected {"loss": [...], "val_accuracy": [...], ...}'),
        ('{"version": 1}', "is no history"),
        ('{"loss": [],\n "acc": []}', "the lists differ in length or are empty: loss has 0, accuracy has 0"),
        ('{"loss": [1.0], "acc": [1.0, 2.0]}', "differ in length or are empty: loss has 1, accuracy has 2"),
        ('{"loss": [1.0],\n "acc": 0.5}', "2: acc is '0.5'; expected a list of numbers"),
        ('{"loss": [1.0],\n "acc": [true]}', "2: acc holds True; expected a list of numbers"),
        ('{"loss": ["high"]}', "1: loss holds 'high'; expected a list of numbers"),
        ('{"loss": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_history(read, text, message, tmp_path):
    with pytest.raises(InputError) as raised:
        read(text)
    assert str(raised.value).startswith(f"{tmp_path}/curves:")
    assert message in str(raised.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"absent\.csv: cannot be read: No such file"):
        read_log(tmp_path / "absent.csv")
