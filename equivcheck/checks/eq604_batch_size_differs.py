"""EQ604: the arms take batches of different sizes."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs


class BatchSizeDiffers(Check):
    """Judges the sizes of the batches that came."""

    code = "EQ604"
    name = "batch-size-differs"
    title = "The arms train with different batch sizes"
    what = "Compares the sizes of the batches that the two training iterators really gave."
    why = (
        "With half the batch size an epoch has twice as many steps, each on a noisier gradient: the arm with the "
        "smaller batches gets further in an epoch, and its curve is rougher."
    )
    shows = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
model.compile(optimizer="sgd", loss="mean_squared_error")
model.fit(np.ones((32, 8)), np.ones((32, 2)), verbose=0)  # 32 is the default
model.fit(np.ones((32, 8)), np.ones((32, 2)), batch_size=16, verbose=0)
"""
    clean = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
model.compile(optimizer="sgd", loss="mean_squared_error")
model.fit(np.ones((32, 8)), np.ones((32, 2)), batch_size=16, verbose=0)
model.fit(np.ones((32, 8)), np.ones((32, 2)), batch_size=16, verbose=0)
"""
    measured = (
        "`fit` pulls one epoch of each real iterator; the largest batch counts, since the last one may be smaller. "
        "Where one arm's epoch is a single batch, it only differs if the other arm had as many samples."
    )
    mistaken_for = (
        "A smaller last batch. An arm that has fewer samples than a batch (EQ101). The batch size of predict, which "
        "changes features by rounding only. batch_size beside a tf.data.Dataset, which has its own."
    )
    advice = "Give both arms the same batch size: `fit(batch_size=...)` for arrays, `dataset.batch(...)` for a dataset."
    references = (
        "https://keras.io/api/models/model_training_apis/",
        "Smith et al. 2018, Don't Decay the Learning Rate, Increase the Batch Size",
    )
    fault = Fault({"frozen.training.batch_size": 8})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for both arms."""
        ours, theirs = (arm.train.batches[0] for _, arm in evidence.arms())
        if not ours or not theirs or max(ours) == max(theirs):
            return
        # One batch holds all: its size is a number of samples, not a batch size, unless the other arm has as many.
        if (len(ours) == 1 and sum(theirs) > sum(ours)) or (len(theirs) == 1 and sum(ours) > sum(theirs)):
            return
        yield self.finding(
            "both",
            f"The bottleneck arm trains on batches of {max(ours)} samples, {len(ours)} steps an epoch, and the frozen "
            f"arm on batches of {max(theirs)}, {len(theirs)} steps an epoch.",
            measured={
                "bottleneck_batch_size": max(ours),
                "frozen_batch_size": max(theirs),
                "bottleneck_steps_per_epoch": len(ours),
                "frozen_steps_per_epoch": len(theirs),
            },
            expected="batches of equal size",
            patch={"frozen.training.batch_size": SameAs("bottleneck")},
            key="training.batch_size",
        )
