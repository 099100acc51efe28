"""Console logs of any version of Keras, as people have them: redrawn, coloured, quoted, translated."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from equivcheck.errors import InputError
from equivcheck.observed import read_log

LOGS = Path(__file__).parents[2] / "fixtures" / "logs"

KERAS_1 = """\
Train on 16 samples, validate on 8 samples
Epoch 1/50
16/16 [==============================] - 0s - loss: 1.3095 - acc: 0.4375 - val_loss: 0.4533 - val_acc: 0.7500
Epoch 2/50
16/16 [==============================] - 2s - loss: 5.6636e-04 - acc: 0.8125 - val_loss: 0.2305 - val_acc: 1.0000
"""
KERAS_2 = """\
Epoch 1/2
89/89 [==============================] - 388s 4s/step - loss: 1.3095 - acc: 0.4375 - val_loss: 0.4533 - val_acc: 0.7500
Epoch 00001: val_loss improved from inf to 0.45330, saving model to m.h5
Epoch 2/2
89/89 [==============================] - 2s 12ms/step - loss: 5.6636e-04 - acc: 0.8125 - val_loss: 0.2305 - val_acc: 1.0
Epoch 00002: early stopping
"""
KERAS_3 = (
    "Epoch 1/2\n"
    "\x1b[1m 1/10\x1b[0m \x1b[32m━━\x1b[0m\x1b[37m━━━━\x1b[0m \x1b[1m4s\x1b[0m 460ms/step - accuracy: 0.1 - loss: 2.9"
    "\b\b\b\b\b\b\r\x1b[1m10/10\x1b[0m \x1b[32m━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m1s\x1b[0m 9ms/step - accuracy: 0.4375 "
    "- loss: 1.3095 - val_accuracy: 0.7500 - val_loss: 0.4533\n"
    "Epoch 2/2\n"
    "\x1b[1m10/10\x1b[0m \x1b[32m━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m2s\x1b[0m 9ms/step - accuracy: 0.8125 - "
    "loss: 5.6636e-04 - val_accuracy: 1.0000 - val_loss: 0.2305 - learning_rate: 1.0000e-03\n"
)
TWO_LINES = """\
Epoch 1/2
10/10 - 0s - 40ms/step - accuracy: 0.4375 - loss: 1.3095 - val_accuracy: 0.7500 - val_loss: 0.4533
Epoch 2/2
10/10 - 2s - 9ms/step - accuracy: 0.8125 - loss: 5.6636e-04 - val_accuracy: 1.0000 - val_loss: 0.2305
"""
REDRAWN = (
    "Epoch 1/2\r\n"
    " 1/16 [>.............................] - ETA: 1:23 - loss: 2.1 - acc: 0.0"
    + "\b" * 40
    + "16/16 [==============================] - 1s - loss: 1.3095 - acc: 0.4375     "
    + "\b" * 40
    + "16/16 [=============================] - 1s - loss: 1.3095 - acc: 0.4375 - val_loss: 0.4533 - val_acc: 0.7500\r\n"
    "Epoch 2/2\r\n"
    "16/16 [==============================] - 2s - loss: 5.6636e-04 - acc: 0.8125 - val_loss: 0.2305 - val_acc: 1.0\r\n"
)
QUOTED = "".join(f"> 2021-03-04 12:13:14,156 INFO | {line}\n" for line in KERAS_1.splitlines()[1:])
WEB_PAGE = (
    '<span class="line">Epoch 1/25</span><br><span class="line">10s - loss: 1.3095 - acc: 0.4375 - val_loss:0.4533 - '
    'val_acc: 0.7500</span><br><span class="line">...</span><br><span class="line">Epoch 2/25</span><br>'
    '<span class="line">2s - loss: 5.6636e-04 - acc: 0.8125 - val_loss:0.2305 - val_acc: 1.0000</span>'
)
TRANSLATED = (
    "Epoque 1/2 16/16 [============================] - 17s 12ms/étape - perte: 1.3095 - acc: 4.3750e - 01 - "
    "val_loss : 0.4533 - val_acc: 0,7500\n"
    "Epoque 2/2 16/16 [============================] - 2s 12ms/étape - perte: 5.6636e - 04 - acc: 0.8125 - "
    "val_loss : 0.2305 - val_acc: 1.0000e + 00\n"
)
WITHOUT_HEADINGS = "\n".join(line for line in KERAS_1.splitlines() if "Epoch" not in line)
KINDS = {
    "keras 1": KERAS_1,
    "keras 2": KERAS_2,
    "keras 3": KERAS_3,
    "one line an epoch": TWO_LINES,
    "redrawn": REDRAWN,
    "quoted": QUOTED,
    "web page": WEB_PAGE,
    "translated": TRANSLATED,
    "without headings": WITHOUT_HEADINGS,
}


@pytest.fixture
def read(tmp_path):
    def reading(text, encoding="utf-8"):
        path = tmp_path / "console.log"
        path.write_bytes(text.encode(encoding))
        return read_log(path)

    return reading


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_tells_the_same_curves(read, kind):
    log = read(KINDS[kind])
    assert log.format == "console"
    assert log.epochs == (1, 2)
    assert {name: log.metrics[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")} == {
        "loss": (1.3095, 5.6636e-04),
        "accuracy": (0.4375, 0.8125),
        "val_loss": (0.4533, 0.2305),
        "val_accuracy": (0.75, 1.0),
    }
    assert log.seconds[1] == 2
    assert log.rounding["loss"] == pytest.approx((5e-5, 5e-9), rel=0.02)


def test_a_file_from_powershell(read):
    assert read(KERAS_1, "utf-16").epochs == (1, 2)


def test_samples_steps_and_plan(read):
    log = read(KERAS_1)
    assert (log.training_samples, log.validation_samples) == (16, 8)
    assert (log.steps, log.planned_epochs) == ((16,), 50)
    assert (read(WEB_PAGE).steps, read(WEB_PAGE).planned_epochs) == ((), 25)


def test_what_is_printed_between_epochs_belongs_to_none(read):
    """Evaluate and predict draw bars too; only the last state of the epoch's own bar counts."""
    evaluated = "8/8 [==============================] - 1s - loss: 0.9000 - acc: 0.1000\n"
    predicted = "16/16 [==============================] - 3s 200ms/step\n"
    log = read(predicted + KERAS_1 + evaluated + predicted)
    assert log.metrics["accuracy"] == (0.4375, 0.8125)
    assert log.metrics["loss"][-1] == 5.6636e-04


def test_without_validation_a_second_bar_is_left_out_too(read):
    log = read(
        "Epoch 1/1\n"
        "1/2 [===>....] - ETA: 0s - loss: 2.0 - acc: 0.0\n"
        "2/2 [=======] - 1s - loss: 1.0 - acc: 0.5\n"
        "1/2 [===>....] - ETA: 0s - loss: 7.0 - acc: 0.9\n"
        "3/3 [=======] - 1s - loss: 8.0 - acc: 0.8\n"
    )
    assert log.metrics == {"loss": (1.0,), "accuracy": (0.5,)}


def test_epochs_that_were_left_out_are_no_points(read):
    log = read(WEB_PAGE.replace("Epoch 2/25", "Epoch 10/25"))
    assert log.epochs == (1, 10)


def test_nan_and_infinity(read):
    log = read("Epoch 1/1\n2/2 [==] - 1s - loss: nan - accuracy: 0.5000 - val_loss: inf - val_accuracy: 0.5\n")
    assert repr(log.metrics["loss"]) == "(nan,)"
    assert log.metrics["val_loss"] == (float("inf"),)


def test_training_that_goes_on_from_an_epoch(read):
    """initial_epoch: the second fit goes on counting."""
    log = read(KERAS_1 + KERAS_1.split("\n", 1)[1].replace("Epoch 1/", "Epoch 3/").replace("Epoch 2/", "Epoch 4/"))
    assert log.epochs == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a console log, a CSVLogger file or a history as JSON"),
        (" \n\n", "is empty; expected a console log, a CSVLogger file or a history as JSON"),
        ("Hello\n", "tells of no epoch; expected lines of a Keras console log such as "),
        ("Epoch 1/50\n", "tells of no epoch; "),
        (KERAS_1 + KERAS_1, "7: epoch 1 comes after epoch 2 of line 4, so the file holds more than one training; "),
    ],
)
def test_what_is_no_log(read, text, message, tmp_path):
    with pytest.raises(InputError) as raised:
        read(text)
    assert str(raised.value).startswith(f"{tmp_path}/console.log:")
    assert message in str(raised.value)
    assert raised.value.exit_code == 2


def test_a_log_from_a_forum_post():
    """Thirty epochs of each arm of a well-known question, as printed by Keras 1."""
    bottleneck, frozen = (read_log(LOGS / f"inception_v4_{arm}.log") for arm in ("bottleneck", "frozen"))
    assert bottleneck.epochs == frozen.epochs == tuple(range(1, 31))
    assert (bottleneck.steps, frozen.steps) == ((16,), (24,))
    assert frozen.metrics["val_accuracy"][:5] == (0.6667, 0.5, 0.3333, 0.5, 0.6667)
    assert bottleneck.metrics["loss"][-1] == 1.1921e-07
    assert frozen.seconds[:2] == (63, 61)


@pytest.mark.parametrize("noise", ["a" * 1_000_000, "1/" * 300_000, "a:" * 300_000, "<" * 300_000, "1." * 300_000])
def test_a_line_of_rubbish_takes_no_time(read, noise):
    start = time.perf_counter()
    assert read(KERAS_1 + noise + "\n").epochs == (1, 2)
    assert time.perf_counter() - start < 10


def left_out(log):
    return [(each.first, each.last, each.why) for each in log.left_out]


def test_a_whole_log_leaves_nothing_out(read):
    for text in KINDS.values():
        assert read(text).left_out == ()


def test_an_epoch_that_breaks_off_is_no_point(read):
    broken = "Epoch 3/50\n 7/16 [=====>........] - ETA: 3s - loss: 9.0000 - acc: 0.1000\n"
    log = read(KERAS_1 + broken)
    assert log.epochs == (1, 2)
    assert left_out(log) == [(6, 6, "epoch 3, which breaks off at 7 of 16")]


def test_a_log_of_nothing_but_an_unfinished_epoch_is_read(read):
    assert read("Epoch 1/50\n 7/16 [=====>........] - ETA: 3s - loss: 9.0000 - acc: 0.1000\n").epochs == (1,)


def test_a_log_that_ends_before_its_validation(read):
    log = read(KERAS_1 + "Epoch 3/50\n16/16 [======] - 2s - loss: 0.1000 - acc: 0.9000\nEpoch 4/50\n")
    assert log.epochs == (1, 2, 3)
    assert repr(log.metrics["val_loss"][-1]) == "nan"
    assert left_out(log) == [
        (6, 6, "no validation of epoch 3"),
        (8, 8, "the heading of epoch 4, which has no values"),
    ]


def test_a_log_whose_beginning_is_missing(read):
    log = read("\n".join(KERAS_1.splitlines()[2:]))
    assert log.epochs == (2,)
    assert left_out(log) == [(1, 1, "values before the heading of the first epoch")]


def test_values_of_other_bars_are_left_out_together(read):
    """A run in CI draws each state of a bar on a line of its own."""
    evaluated = "".join(f"{step}/3 [====] - 1s - loss: 0.9000 - acc: 0.1000\n" for step in (1, 2, 3))
    assert left_out(read(KERAS_1 + evaluated)) == [(6, 8, "values of another bar, such as that of evaluate")]


def test_two_trainings_in_one_file_are_told_apart(read):
    """Two processes that write to one file: both begin an epoch before either ends it."""
    one, other = KERAS_1, KERAS_1.replace("16/16", "24/24").replace("0.4375", "0.1").replace("0.8125", "0.2")
    mixed = "\n".join(f"{mine}\n{theirs}" for mine, theirs in zip(one.splitlines(), other.splitlines(), strict=True))
    log = read(mixed)
    assert log.metrics["accuracy"][0] == 0.4375
    assert left_out(log) == [
        (3, 3, "the heading of epoch 1, which has no values"),
        (6, 6, "another end of epoch 1, as of a second training"),
        (7, 7, "the heading of epoch 2, which has no values"),
        (10, 10, "another end of epoch 2, as of a second training"),
    ]
