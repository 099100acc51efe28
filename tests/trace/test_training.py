"""How long and how fast an arm trains, asked of its optimizer and callbacks before anything is trained."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def traced():
    """What is measured of a small model with these arguments of fit."""
    import keras

    from equivcheck.arms.arm import Arm, Feed, Split
    from equivcheck.trace.training import trace_training

    def tracing(steps=4, optimizer=None, **fit):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(optimizer or keras.optimizers.SGD(0.1), "mean_squared_error", metrics=["accuracy"])
        model.evaluate(np.ones((8, 2)), np.ones((8, 1)), verbose=0)  # metrics are made when they are first needed
        split = Split(Feed(np.ones((8, 2)), np.ones((8, 1))))
        return trace_training(Arm("frozen", model, split, split, {"epochs": 5, **fit}, seed=0), steps)

    return tracing


def test_nothing_special(traced):
    trace = traced()
    assert (trace.epochs, trace.stops, trace.iterations, trace.callbacks) == (5, {}, 0, ())
    assert trace.rates.tolist() == pytest.approx([0.1] * 10)


def test_an_epoch_to_go_on_from(traced):
    assert traced(initial_epoch=3).epochs == 2


def test_a_schedule_goes_on_within_an_epoch(traced):
    import keras

    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=1, decay_rate=0.5)
    rates = traced(steps=4, optimizer=keras.optimizers.SGD(schedule)).rates
    assert rates[:3].tolist() == pytest.approx([0.1, 0.1 / 8, 0.1 / 16])


def test_early_stopping_where_its_curve_stands_still(traced):
    import keras

    trace = traced(callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True)])
    assert trace.stops == {"nothing improves": 3, "val_loss stalls": 3}
    assert trace.callbacks == ("EarlyStopping",)


def test_an_accuracy_is_known_to_rise(traced):
    import keras

    trace = traced(callbacks=[keras.callbacks.EarlyStopping("val_accuracy", patience=1)])
    assert trace.stops == {"nothing improves": 2, "val_accuracy stalls": 2}


def test_a_curve_that_is_not_there_stops_nothing(traced):
    import keras

    assert traced(callbacks=[keras.callbacks.EarlyStopping("val_acc", mode="max")]).stops == {}


def test_a_plateau_lowers_the_rate(traced):
    import keras

    trace = traced(callbacks=[keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1)])
    assert trace.rates.tolist() == pytest.approx([0.1] * 10)
    assert trace.rates_stalled[-1] < 0.1


def test_a_callback_is_left_as_it_was(traced):
    """A copy is run: neither its counters nor the live optimizer move."""
    import keras

    stopping = keras.callbacks.EarlyStopping("loss", patience=1)
    before = dict(vars(stopping))
    traced(callbacks=[stopping])
    assert vars(stopping) == before


def test_callbacks_that_decide_nothing_are_not_run(traced, tmp_path):
    import keras

    told = []
    quiet = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, _logs: told.append(epoch))
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    assert traced(callbacks=[quiet, log]).callbacks == ()
    assert told == []
    assert not list(tmp_path.iterdir())


def test_a_callback_that_needs_the_real_model_is_not_guessed_about(traced):
    import keras

    class Cautious(keras.callbacks.Callback):
        def on_epoch_end(self, *_):
            self.model.stop_training = bool(self.model.predict(np.ones((1, 2))) > 0)

    trace = traced(callbacks=[Cautious()])
    assert (trace.stops, trace.rates) == (None, None)
