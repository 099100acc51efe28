"""EQ804: a logged validation accuracy repeats itself exactly."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from equivcheck.check import Check, Fault, Subject
from equivcheck.diff.forensics import Period, Window, period_of, sliding_window, smallest_count, window_scores
from equivcheck.evidence import Evidence, OrderTrace
from equivcheck.findings import ArmName, Cleared, Finding
from equivcheck.measured import ObservedLog

#: Sets larger than this are not searched: each size of the first class would have to be tried.
_MOST_SAMPLES = 200


class ObservedCurvePeriodic(Check):
    """Judges whether a validation curve goes in a circle."""

    code = "EQ804"
    name = "observed-curve-periodic"
    title = "The logged validation accuracy repeats itself exactly"
    what = (
        "Finds validation accuracies that come again and again in the same order, such as .6667 .5 .3333 .5 from the "
        "first epoch to the last."
    )
    why = (
        "Learning does not go in circles to the last digit. Such a curve shows which samples were evaluated, not what "
        "was learned: a generator that is not reset goes on where the last evaluation stopped, so each epoch sees "
        "another window of the set, and a model that always answers one class scores the share of that class in it."
    )
    shows = """\
import itertools

x, y = np.zeros((8, 4), "float32"), np.repeat([0, 1], 4)[:, None]
going_on = ((x[n % 8 : n % 8 + 1], y[n % 8 : n % 8 + 1]) for n in itertools.count())
for _ in range(2):  # each evaluation begins where the last one ended
    end_to_end.evaluate(going_on, steps=6, verbose=0)
"""
    clean = """\
x, y = np.zeros((8, 4), "float32"), np.repeat([0, 1], 4)[:, None]
for _ in range(2):
    end_to_end.evaluate(x, y, batch_size=1, verbose=0)
"""
    measured = (
        "The shortest exact repetition that reaches to the last epoch and comes at least three times; independent "
        "values of the same frequency would repeat so with a chance below 0.1 %. A window over two sorted classes is "
        "then looked for on which a constant prediction scores these values, with and without the ten batches that "
        "Keras 1 read ahead and lost after each evaluation."
    )
    mistaken_for = (
        "A curve that stands still, which is no repetition. Weights that swing between a few states because the "
        "learning rate is too high can repeat an accuracy, too: then no window is named, and the losses repeat as well."
    )
    advice = (
        "Evaluate the whole validation set from its first sample in every epoch: pass arrays, a finite tf.data.Dataset "
        "or a PyDataset as validation_data, without validation_steps. Then look at what makes the model answer one "
        "class."
    )
    references = (
        "https://keras.io/api/models/model_training_apis/#fit-method",
        "https://github.com/keras-team/keras/issues/5162",
        "https://github.com/keras-team/keras/blob/1.2.2/keras/engine/training.py (max_q_size=10)",
    )
    subject: ClassVar[Subject] = "logs"
    severity = "warning"
    fault = Fault({"observed.frozen": "../logs/inception_v4_frozen.log"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """At most one finding about each log."""
        live = dict(evidence.arms())
        for arm, log in evidence.logs.items():
            values = log.metrics.get("val_accuracy", ())
            period = period_of(values)
            if period is None or not all(0 <= value <= 1 for value in period.values):
                continue
            validation = live[arm].validation
            yield self._finding(arm, log, period, log.validation_samples or _samples(validation))

    def _finding(self, arm: ArmName, log: ObservedLog, period: Period, samples: int | None) -> Finding:
        cycle = slice(period.start, period.start + period.length)
        rounding = log.rounding["val_accuracy"][cycle]
        count = smallest_count(period.values, rounding)
        window = None if count is None else _window(period, rounding, count, samples)
        shown = ", ".join(f"{value:.4g}" for value in period.values[:8]) + (", …" if period.length > 8 else "")  # noqa: PLR2004
        measured = {
            "period_epochs": period.length,
            "repetitions": round(period.repeats, 2),
            "first_epoch": log.epochs[period.start],
            "accuracies": list(period.values),
            "chance_of_an_accident": period.chance,
        }
        if window is not None:
            measured |= {
                "window_samples": window.window,
                "set_samples": window.samples,
                "accuracies_of_a_constant_prediction": sorted(
                    {round(score, 4) for score in window_scores(window, period.length, period.start)}
                ),
            }
        return self.finding(
            arm,
            f"From epoch {log.epochs[period.start]} on the {arm} arm's validation accuracy repeats {shown} every "
            f"{period.length} epochs, {period.repeats:.3g} times. {_explained(window)}",
            measured=measured,
            expected="the same validation samples in every epoch, so that the curve shows what was learned",
            key=f"observed.{arm}",
        )


def _window(period: Period, rounding: tuple[float, ...], count: int, samples: int | None) -> Window | None:
    """Over the known number of samples, where it is not too many to try; else over any number."""
    if samples is not None and samples > _MOST_SAMPLES:
        return None
    return sliding_window(period.values, rounding, count, samples, period.start)


def _explained(window: Window | None) -> str:
    if window is None:
        return "So the evaluation goes in a circle: each epoch sees other samples, or the weights swing."
    second = window.samples - window.first_class
    ahead = f", {window.read_ahead} more of which are read ahead and lost each time" if window.read_ahead else ""
    return (
        f"A model that always answers one class scores exactly this on a window of {window.window} samples that slides "
        f"over {window.first_class} + {second} images sorted by class{ahead}."
    )


def _samples(validation: OrderTrace | None) -> int | None:
    """Samples of the live validation set: that there are, else that come in one pass."""
    if validation is None:
        return None
    return validation.available if validation.available is not None else len(validation.samples[0])
