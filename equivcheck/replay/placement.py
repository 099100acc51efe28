"""Whether two arms train differently only because a processor rounds a sample's features by its place in the batch.

A kernel takes several rows at once, and what is left over at the end of a batch runs other instructions. With AVX2, a
convolution whose channels are no multiple of eight was seen to differ in the last bit for the last sample of every
batch (a network of 12 channels, oneDNN in TensorFlow 2.21); with AVX-512 it was not. No pipeline can do anything about
it, and no accuracy shows it. So the frozen arm is trained once more on the features that the other arm has stored:
where that gives the other arm's curves to the last bit, and these features are its own but for rounding, nothing else
lies between the arms.
"""

from __future__ import annotations

from collections.abc import Sequence

from equivcheck.arms.arm import Arm
from equivcheck.diff.tally import NOISE
from equivcheck.measured import Curve, curves_equal
from equivcheck.replay.eligible import build, obstacle
from equivcheck.replay.rehearse import Rehearsals, prepare
from equivcheck.replay.training import metric_of
from equivcheck.trace.state import undisturbed


def rounded_by_place(bottleneck: Arm, frozen: Arm, curves: Sequence[Curve], rehearsals: Rehearsals) -> float | None:
    """How far rounding moves the features of a sample, where nothing else lies between the arms.

    Args:
        bottleneck: The arm on stored features.
        frozen: The frozen arm, as it was built.
        curves: Both arms' curves, which differ.
        rehearsals: Where the arm's training is kept.

    Returns:
        The largest difference as a share of the largest feature; None where something else may lie between the arms.
    """
    if obstacle(frozen) is not None or not bottleneck.begins_anew:
        return None
    splits = [split for split in (bottleneck.train, bottleneck.validation) if split is not None]
    stored = [split.feed.table[0] for split in splits]
    build(frozen)
    try:
        with undisturbed(frozen.model):
            ready = prepare(frozen, evidence=None, rehearsals=rehearsals, stored=stored)
            done = ready.run(lambda _done, _total: None)
    except Exception:  # noqa: BLE001  (what could not be compiled was trained by fit, and proves nothing here)
        return None
    on_stored = [Curve("frozen", metric_of(name), values) for name, values in done.curves.items()]
    ours = [curve for curve in curves if curve.arm == "bottleneck"]
    alike = curves_equal([*ours, *on_stored], "bottleneck", "frozen")
    return done.moved if alike and done.moved <= NOISE else None
