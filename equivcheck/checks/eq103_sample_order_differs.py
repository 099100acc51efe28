"""EQ103: the same samples come in another order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs

#: Share of the samples that must be known in both arms: less is no order that could be compared.
RECOGNISED = 0.5


class SampleOrderDiffers(Check):
    """Judges the order in which the two training iterators yield the same samples."""

    code = "EQ103"
    name = "sample-order-differs"
    title = "The arms see the same samples in different orders"
    what = "Compares the sequences of sample ids that the two training iterators yield over two epochs."
    why = (
        "Stochastic gradient descent depends on the order. With other batches in other orders two equal models take "
        "other paths: the curves part, usually by little, and no two runs can be compared point by point."
    )
    shows = """\
x, y = np.zeros((8, 4), "float32"), np.zeros((8, 1), "int64")
head.fit(x, y, shuffle=True, verbose=0)
end_to_end.fit(x, y, shuffle=False, verbose=0)
"""
    clean = """\
x, y = np.zeros((8, 4), "float32"), np.zeros((8, 1), "int64")
for model in (head, end_to_end):
    keras.utils.set_random_seed(0)
    model.fit(x, y, shuffle=True, verbose=0)
"""
    measured = (
        "`fit` pulls two epochs from each real iterator; every sample is identified by its id or by what the image "
        "shows, so the two sequences can be compared position by position."
    )
    mistaken_for = (
        "One iterator that reshuffles every epoch and another that repeats one permutation differ from the second "
        "epoch on only. An order sorted by class is a cause of its own (EQ104)."
    )
    advice = "Shuffle both arms alike, from one seed that is set right before fit; or shuffle neither."
    references = (
        "https://keras.io/api/models/model_training_apis/#fit-method",
        "https://github.com/tensorflow/tensorflow/issues/35682",
    )
    requires = ("EQ101", "EQ102", "EQ104", "EQ105", "EQ106", "EQ107", "EQ108", "EQ705")
    fault = Fault(
        {"frozen.training.shuffle": False},
        start={"data.train": {"csv": "../digits/target/train_mixed.csv"}},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding where the sequences differ."""
        if not evidence.matched:
            return
        ours, theirs = (np.concatenate(arm.train.samples) for _, arm in evidence.arms())
        # Augmented images may not be recognised; where most are not, nothing can be said of their order.
        known = np.isin(theirs, ours)
        if len(ours) != len(theirs) or known.mean() < RECOGNISED:
            return
        differing = np.flatnonzero(known & (ours != theirs))
        if not len(differing):
            return
        epoch = len(evidence.frozen.train.samples[0])
        yield self.finding(
            "both",
            f"From position {int(differing[0]) + 1} on the two arms see the same samples in different orders; in two "
            f"epochs {100 * (1 - len(differing) / len(ours)):.0f} % of the positions hold the same sample.",
            measured={
                "first_differing_position": int(differing[0]),
                "positions_equal_fraction": 1 - len(differing) / len(ours),
                "samples_per_epoch": epoch,
            },
            expected="both iterators yield the same samples in the same order",
            patch={
                "frozen.data.train": SameAs("bottleneck"),
                "frozen.training.shuffle": SameAs("bottleneck"),
                "frozen.training.seed": SameAs("bottleneck"),
                "frozen.training.samples_per_epoch": SameAs("bottleneck"),
            },
            key="training.shuffle",
        )
