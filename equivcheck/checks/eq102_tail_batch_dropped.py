"""EQ102: the samples that do not fill a batch are never shown."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.evidence import ArmEvidence, Evidence
from equivcheck.findings import Cleared, Finding, Side


class TailBatchDropped(Check):
    """Judges iterators that leave out less than one batch."""

    code = "EQ102"
    name = "tail-batch-dropped"
    title = "The last, smaller batch is dropped"
    what = "Finds a training iterator whose epoch ends before the samples that do not fill a whole batch."
    why = (
        "`n // batch_size` steps leave out up to a batch of samples. With one arm dropping them the arms train on "
        "different data; where features are extracted that way, features and labels differ in length or, worse, are "
        "cut at different places and no longer belong together."
    )
    shows = """\
x = np.zeros((10, 8), "float32")
dataset = tf.data.Dataset.from_tensor_slices(x).batch(4, drop_remainder=True)
"""
    clean = """\
x = np.zeros((10, 8), "float32")
dataset = tf.data.Dataset.from_tensor_slices(x).batch(4)
"""
    measured = (
        "`fit` pulls two epochs from the real iterator. It is reported when every batch is full and fewer samples than "
        "one batch are missing from those that the split holds."
    )
    mistaken_for = "A smaller last batch that is shown: Keras weights it by its size."
    advice = "Leave steps_per_epoch out, or round up: `math.ceil(n / batch_size)`; do not drop the remainder."
    references = (
        "https://github.com/keras-team/keras/issues/11902",
        "https://github.com/keras-team/keras/issues/9885",
    )
    fault = Fault({"frozen.training.drop_remainder": True}, start={"training.batch_size": 16})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding; a warning where both arms drop the same."""
        available = {name: _available(arm, evidence) for name, arm in evidence.arms()}
        missing = {name: _missing_tail(arm, available[name]) for name, arm in evidence.arms()}
        dropping: list[Side] = [name for name, count in missing.items() if count]
        if not dropping:
            return
        both = len(dropping) == len(missing)
        count = available["frozen" if "frozen" in dropping else "bottleneck"]
        yield self.finding(
            "both" if both else dropping[0],
            f"{max(missing.values())} of {count} training samples do not fill a batch and are never "
            f"shown to the {' and the '.join(dropping)} arm.",
            measured={f"{name}_samples_never_shown": value for name, value in missing.items()},
            expected="an epoch shows every sample of the split",
            severity="warning" if both else "error",
            patch={f"{name}.training.drop_remainder": False for name in dropping},
            key="training.drop_remainder",
        )


def _available(arm: ArmEvidence, evidence: Evidence) -> int | None:
    """Samples in the split: a stream does not say how many it has, but the other arm may, of the same samples."""
    if arm.train.available is not None or not evidence.matched:
        return arm.train.available
    return next((other.train.available for _, other in evidence.arms() if other is not arm), None)


def _missing_tail(arm: ArmEvidence, available: int | None) -> int:
    """Samples left out of an epoch of full batches, where they are fewer than one batch."""
    order = arm.train
    if available is None or not order.batches or not order.batches[0]:
        return 0
    size = max(order.batches[0])
    missing = available - len(np.unique(order.samples[0]))
    full = all(batch == size for batch in order.batches[0])
    return missing if full and 0 < missing < size else 0
