"""EQ803: the accuracies of a log cannot come from the samples that there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from equivcheck.check import Check, Fault, Subject
from equivcheck.diff.forensics import can_be_of, smallest_count
from equivcheck.evidence import Evidence, OrderTrace
from equivcheck.findings import ArmName, Cleared, Finding
from equivcheck.measured import ObservedLog


class ObservedSampleCountImpossible(Check):
    """Judges printed accuracies as fractions."""

    code = "EQ803"
    name = "observed-sample-count-impossible"
    title = "The logged accuracies cannot come from the samples that there are"
    what = (
        "Finds logs whose validation accuracies are no fractions of the number of validation samples (1/3 cannot come "
        "from 8 images), and pairs of logs whose arms counted different numbers of training samples."
    )
    why = (
        "The evaluation took another number of samples than the set has: a generator was asked for more and began "
        "anew, or for fewer and left some out. Some samples then count twice or never, so the curve is that of another "
        "validation set than the other arm's."
    )
    shows = """\
x, y = np.zeros((8, 4), "float32"), np.repeat([0, 1], 4)[:, None]
endless = tf.data.Dataset.from_tensor_slices((x, y)).repeat().batch(1)
end_to_end.evaluate(endless, steps=12, verbose=0)
"""
    clean = """\
x, y = np.zeros((8, 4), "float32"), np.repeat([0, 1], 4)[:, None]
all_of_them = tf.data.Dataset.from_tensor_slices((x, y)).batch(1)
end_to_end.evaluate(all_of_them, verbose=0)
"""
    measured = (
        "Each printed accuracy must be k/n within half a unit of its last digit. The smallest such n is found and "
        "compared with the validation samples that the log names (`Train on 16 samples, validate on 8 samples`), that "
        "the spec gives (`observed.validation_samples`), or that the live arm's validation set has. Training "
        "accuracies are averages over a moving model; their n counts only where it equals the length of the progress "
        "bar, which then counts samples."
    )
    mistaken_for = (
        "Weighted validation metrics. tf.keras before 2.2 averaged batches without weighing them by their size, so a "
        "smaller last batch gives other fractions. Above about 5,000 samples four digits no longer tell."
    )
    advice = (
        "Evaluate every validation sample once: leave validation_steps out, or set it to ceil(samples / batch_size), "
        "and do not repeat the validation data. If the log is of other data than you think, correct "
        "`observed.validation_samples`."
    )
    references = (
        "https://keras.io/api/models/model_training_apis/#fit-method",
        "https://github.com/keras-team/keras/issues/5162",
        "https://github.com/keras-team/keras/issues/6499",
    )
    subject: ClassVar[Subject] = "logs"
    severity = "warning"
    fault = Fault({"observed.frozen": "../logs/sevenths.log"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """At most one finding about each log, and one about both."""
        live = dict(evidence.arms())
        for arm, log in evidence.logs.items():
            validation = live[arm].validation
            yield from self._validation(arm, log, _samples(validation))
        if len(evidence.logs) == 2:  # noqa: PLR2004  (two arms)
            yield from self._training(evidence.logs["bottleneck"], evidence.logs["frozen"])

    def _validation(self, arm: ArmName, log: ObservedLog, available: int | None) -> Iterable[Finding]:
        count = log.validation_samples if log.validation_samples is not None else available
        values, rounding = accuracies(log, "val_accuracy")
        if not count or can_be_of(count, values, rounding):
            return
        first = next(
            index for index, value in enumerate(values) if not can_be_of(count, [value], rounding[index : index + 1])
        )
        smallest = smallest_count(values, rounding)
        told = f"; the smallest number that they can all come from is {smallest}" if smallest is not None else ""
        yield self.finding(
            arm,
            f"The {arm} arm's log has a validation accuracy of {values[first]:.4f}, which cannot come from {count} "
            f"samples{told}. So some samples were evaluated more than once or not at all.",
            measured={
                "validation_samples": count,
                "smallest_possible_number_of_samples": smallest,
                "impossible_accuracies": sorted(
                    {
                        value
                        for value, error in zip(values, rounding, strict=True)
                        if not can_be_of(count, [value], [error])
                    }
                ),
            },
            expected=f"every validation accuracy is a whole number of hits among {count} samples",
            key=f"observed.{arm}",
        )

    def _training(self, bottleneck: ObservedLog, frozen: ObservedLog) -> Iterable[Finding]:
        one, other = samples_per_epoch(bottleneck), samples_per_epoch(frozen)
        if one is None or other is None or one == other:
            return
        yield self.finding(
            "both",
            f"The bottleneck arm's log counts {one} training samples per epoch, the frozen arm's {other}; the training "
            f"accuracies are fractions of {one} and of {other}, so these are samples, not batches. One arm leaves "
            "samples out or sees some twice.",
            measured={"bottleneck_samples_per_epoch": one, "frozen_samples_per_epoch": other},
            expected="both arms see the same number of samples per epoch",
            advice="Train both arms on every sample once per epoch: leave steps_per_epoch (samples_per_epoch in Keras "
            "1) out, or set it to the number of training samples divided by the batch size, rounded up.",
            key="observed.frozen",
        )


def accuracies(log: ObservedLog, metric: str) -> tuple[list[float], list[float]]:
    """Values in [0, 1] of one metric, and their rounding; others, and missing ones, are left out."""
    points = [
        (value, error)
        for value, error in zip(log.metrics.get(metric, ()), log.rounding.get(metric, ()), strict=True)
        if 0 <= value <= 1
    ]
    return [value for value, _ in points], [error for _, error in points]


def samples_per_epoch(log: ObservedLog) -> int | None:
    """Length of the progress bar where it counts samples, which the training accuracies prove."""
    smallest = smallest_count(*accuracies(log, "accuracy"))
    return smallest if log.steps == (smallest,) else None


def _samples(validation: OrderTrace | None) -> int | None:
    """Samples of the live validation set: that there are, else that come in one pass."""
    if validation is None:
        return None
    return validation.available if validation.available is not None else len(validation.samples[0])
