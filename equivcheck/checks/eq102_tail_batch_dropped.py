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
        """One finding, a warning where both arms drop the same; or cleared, where the tail is shown."""
        whole = {name: _whole(arm) for name, arm in evidence.arms()}
        if evidence.matched:  # what one arm shows, the other has left out
            whole = dict.fromkeys(whole, max((count for count in whole.values() if count is not None), default=None))
        missing = {name: _missing_tail(arm, whole[name]) for name, arm in evidence.arms()}
        dropping: list[Side] = [name for name, count in missing.items() if count]
        if not dropping:
            yield from self._shown(evidence.frozen)
            return
        both = len(dropping) == len(missing)
        yield self.finding(
            "both" if both else dropping[0],
            f"{max(missing.values())} of {max(filter(None, whole.values()))} training samples do not fill a batch and "
            f"are never shown to the {' and the '.join(dropping)} arm.",
            measured={f"{name}_samples_never_shown": value for name, value in missing.items()},
            expected="an epoch shows every sample of the split",
            severity="warning" if both else "error",
            patch={
                f"{name}.training.{key}": value
                for name in dropping
                for key, value in (("drop_remainder", False), ("steps_per_epoch", None))
            },
            key="training.drop_remainder",
        )

    def _shown(self, arm: ArmEvidence) -> Iterable[Cleared]:
        """A smaller last batch is no cause: Keras averages loss and metrics over samples, not over batches."""
        epoch = arm.train.batches[0] if arm.train.batches else ()
        if len(epoch) > 1 and epoch[-1] < epoch[0] and len(np.unique(arm.train.samples[0])) == sum(epoch):
            yield self.cleared(
                f"the last of {len(epoch)} batches of the frozen arm holds {epoch[-1]} of {epoch[0]} samples; all "
                f"{sum(epoch)} samples are shown once, and each counts alike in loss and metrics",
                batches=len(epoch),
                samples_in_a_batch=epoch[0],
                samples_in_the_last=epoch[-1],
                samples_shown=sum(epoch),
            )


def _whole(arm: ArmEvidence) -> int | None:
    """Samples that the split holds: as stored, else as many as an epoch showed."""
    order = arm.train
    return order.available if order.available is not None else len(np.unique(order.samples[0]))


def _missing_tail(arm: ArmEvidence, whole: int | None) -> int:
    """Samples left out of an epoch of full batches, where they are fewer than one batch."""
    order = arm.train
    if whole is None or not order.batches or not order.batches[0]:
        return 0
    size = max(order.batches[0])
    missing = whole - len(np.unique(order.samples[0]))
    full = all(batch == size for batch in order.batches[0])
    # An iterator that repeats shows them at the beginning of its next epoch.
    postponed = len(np.unique(np.concatenate(order.samples)[:whole])) == whole
    return missing if full and 0 < missing < size and not postponed else 0
