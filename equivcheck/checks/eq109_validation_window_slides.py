"""EQ109: each epoch is validated on other samples than the last."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence, OrderTrace
from equivcheck.findings import ArmName, Cleared, Finding


class ValidationWindowSlides(Check):
    """Judges whether the evaluations behind the epochs look at the same samples."""

    code = "EQ109"
    name = "validation-window-slides"
    title = "Every epoch is validated on other samples"
    what = "Compares the samples of the evaluations that fit runs behind its epochs."
    why = (
        "A validation generator that is not reset goes on where the last evaluation stopped, and a shuffled data set "
        "that is cut by take or validation_steps gives another part each time. The validation curve then moves with "
        "its samples: on class folders even a head that always answers the same makes a curve that goes up and down, "
        "with the period of the window."
    )
    shows = """\
x, y = np.zeros((8, 4), "float32"), np.zeros((8, 1), "int64")
validation = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(8).take(4).batch(2)
"""
    clean = """\
x, y = np.zeros((8, 4), "float32"), np.zeros((8, 1), "int64")
validation = tf.data.Dataset.from_tensor_slices((x, y)).take(4).batch(2)
"""
    measured = (
        "`fit` runs two epochs with the real iterators and evaluates behind each, as in the training, into a model "
        "that only takes notes. The samples of the two evaluations are compared, whatever their order."
    )
    mistaken_for = (
        "A validation set that is shuffled but shown whole. Random augmentation of validation images, which changes "
        "what a sample looks like but not which samples come."
    )
    advice = (
        "Validate on the whole set: leave validation_steps out, do not take from a data set that shuffles, and pass "
        "arrays, a PyDataset or an unshuffled tf.data.Dataset instead of a Python generator."
    )
    references = (
        "https://github.com/keras-team/keras/issues/5162",
        "https://github.com/keras-team/keras/issues/6499",
        "https://keras.io/api/models/model_training_apis/#fit-method",
    )
    requires = ("EQ108",)
    fault = Fault(
        {"frozen.keras_semantics": "1.2", "frozen.training.validation_samples": 60},
        start={
            "backbone": {
                "file": "../backbones/vgg_small.keras",
                "cut": "flatten",
                "trained_with": {"rescale": 1 / 255},
            },
            "preprocessing": {"rescale": 1 / 255},
        },
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding; a warning where both arms slide over the same windows."""
        orders = {name: arm.validation for name, arm in evidence.arms()}
        told = orders["bottleneck"].available if orders["bottleneck"] and evidence.validation_matched else None
        sliding: dict[ArmName, OrderTrace] = {
            name: order for name, order in orders.items() if order is not None and _slides(order, told)
        }
        if not sliding:
            return
        both = len(sliding) == len(orders)
        arm, order = list(sliding.items())[-1]
        alike = both and evidence.validation_matched and _same(*(order.samples for order in sliding.values()))
        first, second = order.samples[0], order.samples[1]
        kept = int(np.isin(np.unique(second), first).sum())
        yield self.finding(
            "both" if both else arm,
            f"The {' and the '.join(sliding)} arm validates each epoch on other samples: "
            f"{_moved(first, second, kept)}. The validation curve moves with them, whatever the head has learned.",
            measured={
                "samples_in_first_evaluation": len(first),
                "samples_in_second_evaluation": len(second),
                "distinct_samples_in_both": kept,
                "first_sample_of_each_evaluation": [int(samples[0]) for samples in order.samples],
                "classes_in_each_evaluation": [_classes(labels) for labels in order.labels],
            },
            expected="every evaluation is on the same samples",
            severity="warning" if alike else "error",
            patch={
                f"{name}.training.{key}": None for name in sliding for key in ("validation_samples", "validation_steps")
            },
            key="training.validation_samples",
        )


def _slides(order: OrderTrace, told: int | None) -> bool:
    """Whether the evaluations hold other samples.

    Args:
        order: The evaluations.
        told: Samples that the other arm's images identify.
    """
    known = order.available if order.available is not None else told
    for samples, labels in zip(order.samples[1:], order.labels[1:], strict=True):
        if np.array_equal(np.sort(samples), np.sort(order.samples[0])):
            continue
        # Images that are augmented look new each time; then only the labels say whether other samples came.
        identified = known is not None and max(int(samples.max()), int(order.samples[0].max())) < known
        if identified or not np.array_equal(np.sort(labels), np.sort(order.labels[0])):
            return True
    return False


def _moved(first: np.ndarray, second: np.ndarray, kept: int) -> str:
    """In what the second evaluation is another than the first.

    Args:
        first: Its samples.
        second: Those of the second.
        kept: Different samples that are in both.
    """
    once, again = len(np.unique(first)), len(np.unique(second))
    if kept < again:
        return f"of {again} in the second evaluation only {kept} were in the first ({once} samples)"
    times = [np.bincount(each, minlength=int(max(first.max(), second.max())) + 1) for each in (first, second)]
    more = int(np.maximum(times[1] - times[0], 0).sum())
    return f"each evaluation takes {len(second)} out of {again} samples, and the second takes {more} of them more often"


def _same(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> bool:
    return all(np.array_equal(np.sort(a), np.sort(b)) for a, b in zip(ours, theirs, strict=False))


def _classes(labels: np.ndarray) -> dict[str, int]:
    values, counts = np.unique(labels, return_counts=True)
    return {str(value): int(count) for value, count in zip(values, counts, strict=True)}
