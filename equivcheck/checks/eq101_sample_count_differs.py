"""EQ101: an epoch of one arm holds other samples than an epoch of the other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence, OrderTrace
from equivcheck.findings import Cleared, Finding, SameAs


class SampleCountDiffers(Check):
    """Judges how many samples the two training iterators yield in an epoch."""

    code = "EQ101"
    name = "sample-count-differs"
    title = "The arms train on different numbers of samples per epoch"
    what = "Counts the samples that each training iterator yields in an epoch, and how many of them are repeats."
    why = (
        "More or fewer samples mean other gradients, another number of steps, and accuracies over another "
        "denominator. A generator that is asked for more samples than it has wraps around and shows some twice."
    )
    shows = """\
x, y = np.zeros((16, 8), "float32"), np.zeros((16, 1), "int64")
bottleneck, _ = keras.utils.split_dataset((x, y), left_size=15, shuffle=False)
frozen, _ = keras.utils.split_dataset((x, y), left_size=12, shuffle=False)
"""
    clean = """\
x, y = np.zeros((16, 8), "float32"), np.zeros((16, 1), "int64")
bottleneck = frozen = (x, y)
"""
    measured = "`fit` pulls two epochs from each real iterator into a model that only takes notes."
    mistaken_for = "A last batch that is smaller than the others, which Keras weights correctly."
    advice = "Let both arms read the same samples, and leave out step counts that were worked out by hand."
    references = ("https://keras.io/api/models/model_training_apis/#fit-method",)
    requires = ("EQ102", "EQ108")
    fault = Fault({"frozen.data.train": {"csv": "../digits/target/train_short.csv"}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding where the epochs' sizes differ."""
        counts = {name: [len(order) for order in arm.train.samples] for name, arm in evidence.arms()}
        if counts["bottleneck"] == counts["frozen"]:
            return
        repeats = {name: _repeats(arm.train) for name, arm in evidence.arms()}
        yield self.finding(
            "both",
            f"An epoch of the bottleneck arm holds {counts['bottleneck'][0]} samples, one of the frozen arm "
            f"{counts['frozen'][0]} ({repeats['frozen']} of them repeats): other gradients, and accuracies over "
            "another denominator.",
            measured={
                "bottleneck_samples_per_epoch": counts["bottleneck"],
                "frozen_samples_per_epoch": counts["frozen"],
                "bottleneck_repeats": repeats["bottleneck"],
                "frozen_repeats": repeats["frozen"],
            },
            expected="both iterators yield the same number of samples in every epoch",
            patch={
                f"frozen.{key}": SameAs("bottleneck")
                for key in ("data.train", "training.steps_per_epoch", "training.samples_per_epoch")
            },
            key="data.train",
        )


def _repeats(order: OrderTrace) -> int:
    first = order.samples[0]
    return int(len(first) - len(np.unique(first)))
