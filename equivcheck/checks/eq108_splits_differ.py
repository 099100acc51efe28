"""EQ108: what one arm validates on is what an arm trains on."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence, SplitOverlap
from equivcheck.findings import ArmName, Cleared, Finding, SameAs

#: Real collections hold near-duplicates: 3.3 % of the test images of CIFAR-10 are also in its training set, 10 % of
#: those of CIFAR-100 (Barz and Denzler 2020). Only what is beyond that is a matter of the split.
SHARED = 0.1

OTHER: dict[ArmName, ArmName] = {"bottleneck": "frozen", "frozen": "bottleneck"}


class SplitsDiffer(Check):
    """Judges whether validation samples are also trained on, and by which arm."""

    code = "EQ108"
    name = "splits-differ"
    title = "The data is split into training and validation differently"
    what = (
        "Looks for each arm's validation samples among the training samples of both arms: another random split, a "
        "validation set that is the training set, or a split that is drawn anew in every epoch."
    )
    why = (
        "Accuracy on samples that were trained on is memory, not generalisation. Where only one arm is measured so, or "
        "where the arms split by other random draws, their validation curves cannot be compared at all."
    )
    shows = """\
samples = tf.data.Dataset.range(10).shuffle(10)
validation, train = samples.take(2), samples.skip(2)
"""
    clean = """\
samples = tf.data.Dataset.range(10).shuffle(10, seed=0, reshuffle_each_iteration=False)
validation, train = samples.take(2), samples.skip(2)
"""
    measured = (
        "`fit` pulls two epochs of training and validation data from the real iterators. Within an arm samples are "
        "compared byte by byte, across the arms by what the images show. It is reported from a tenth of the "
        "validation samples on."
    )
    mistaken_for = (
        "A few duplicates in a collection. Augmented training images, which are no longer the same bytes, so that a "
        "leak behind augmentation is not seen."
    )
    advice = (
        "Split once, into two folders or two lists of files, and let both arms read those. With tf.data pass "
        "reshuffle_each_iteration=False to the shuffle in front of take and skip; with validation_split pass one seed "
        "and the same split to every reader."
    )
    references = (
        "https://keras.io/api/data_loading/image/",
        "https://www.tensorflow.org/api_docs/python/tf/data/Dataset#shuffle",
        "Barz and Denzler 2020, Do We Train on Test Data? Purging CIFAR of Near-Duplicates",
    )
    fault = Fault({"frozen.data.validation": {"csv": "../digits/target/train_mixed.csv"}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding; a warning where both arms validate on what they train on."""
        overlaps = {(overlap.train, overlap.validation): overlap for overlap in evidence.overlaps}
        leaking = [name for name, _ in evidence.arms() if _is_shared(overlaps.get((name, name)))]
        if leaking:
            yield self._leak(leaking, overlaps)
            return
        crossed = [overlap for overlap in overlaps.values() if _is_shared(overlap)]
        if crossed:
            yield self._crossed(crossed)

    def _leak(self, leaking: list[ArmName], overlaps: dict[tuple[ArmName, ArmName], SplitOverlap]) -> Finding:
        arm, both = leaking[-1], len(leaking) == len(OTHER)
        own = overlaps[arm, arm]
        other = overlaps.get((OTHER[arm], OTHER[arm]))
        return self.finding(
            "both" if both else arm,
            f"{own.shared} of the {own.samples} samples that the {' and the '.join(leaking)} arm validates on are also "
            "trained on, so the validation curve tells what was learned by heart.",
            measured={
                "validation_samples_also_trained_on": own.shared,
                "validation_samples": own.samples,
                f"{OTHER[arm]}_validation_samples_also_trained_on": None if other is None else other.shared,
            },
            expected="no validation sample is trained on",
            # Where the other arm has no validation curve, or the same defect, no curve is set apart by it.
            severity="error" if other is not None and not both else "warning",
            patch=None if both else {f"{arm}.data.{key}": SameAs(OTHER[arm]) for key in ("train", "validation")},
            key="data.validation",
        )

    def _crossed(self, crossed: list[SplitOverlap]) -> Finding:
        most = max(crossed, key=lambda overlap: overlap.fraction)
        return self.finding(
            "both",
            f"Of {most.samples} validation samples of the {most.validation} arm {most.shared} are training samples of "
            f"the {most.train} arm: the two arms divide the same data in different ways.",
            measured={
                f"{overlap.validation}_validation_samples_that_{overlap.train}_trains_on": overlap.shared
                for overlap in crossed
            }
            | {"validation_samples_compared": most.samples},
            expected="both arms train on the same samples and validate on the same others",
            patch={f"frozen.data.{key}": SameAs("bottleneck") for key in ("train", "validation")},
            key="data.train",
        )


def _is_shared(overlap: SplitOverlap | None) -> bool:
    return overlap is not None and overlap.fraction > SHARED
