"""EQ105: stored features and labels stand in different orders."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from equivcheck.check import Check, Fault
from equivcheck.diff.nearest import same_features
from equivcheck.diff.shared_labels import shared_labels
from equivcheck.evidence import Evidence, StoredTrace
from equivcheck.findings import Cleared, Finding, SameAs

#: Near-duplicates may be taken for each other where samples are matched by what they show: 3.3 % of CIFAR-10's test
#: images have one in the training set (Barz and Denzler 2020). Only what is beyond that is a matter of alignment.
MISLABELLED = 0.05


class FeaturesMisalignedWithLabels(Check):
    """Judges whether row i of the features and row i of the labels belong to one image."""

    code = "EQ105"
    name = "features-misaligned-with-labels"
    title = "Features and labels do not belong to the same images"
    what = (
        "Finds stored features whose rows stand in another order than the images and labels, and labels that stand in "
        "another order than in the other arm."
    )
    why = (
        "Features that are extracted from a shuffled generator come in its order, while `generator.classes` and labels "
        "read from the folders are in the stored order. Each feature then carries the label of some other image: the "
        "head has nothing to learn, and validation stays at chance."
    )
    shows = """\
x, y = np.random.rand(8, 4).astype("float32"), np.arange(8)
shuffled = tf.data.Dataset.from_tensor_slices(x).shuffle(8, seed=0).batch(4)
features, labels = head.predict(shuffled, verbose=0), y
"""
    clean = """\
x, y = np.random.rand(8, 4).astype("float32"), np.arange(8)
unshuffled = tf.data.Dataset.from_tensor_slices(x).batch(4)
features, labels = head.predict(unshuffled, verbose=0), y
"""
    measured = (
        "The arm's backbone runs on the images of a few rows, spread over the split: each result must be nearest to "
        "the stored features of its own row. And the class of every sample that both arms show is compared: labels "
        "that differ by no renumbering of the classes belong to other images. Samples are known by their ids or "
        "images; where those behind the features are not given, up to 64 a split are known by the features that the "
        "frozen network makes of them in inference."
    )
    mistaken_for = (
        "Another numbering of the classes, which maps each index to one other (EQ303). Features that are nobody's, "
        "because another backbone or preprocessing made them (EQ111)."
    )
    advice = (
        "Extract features from an unshuffled reader (`flow_from_directory(shuffle=False)`, "
        "`image_dataset_from_directory(shuffle=False)`), or collect the labels in the same pass, batch by batch."
    )
    references = (
        "https://github.com/keras-team/keras/issues/7520",
        "https://github.com/keras-team/keras/issues/6745",
        "https://github.com/tensorflow/tensorflow/issues/50124",
    )
    fault = Fault(
        {"bottleneck.features": {"train": "../features/shuffled.npz"}},
        start={"data.train": {"csv": "../digits/target/train_mixed.csv"}},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding: what the features say comes before what the labels say."""
        arm = evidence.bottleneck
        for split, stored in (("training", arm.stored), ("validation", arm.stored_validation)):
            if stored is not None and _is_displaced(stored):
                yield self._displaced(split, stored)
                return
        yield from self._relabelled(evidence)

    def _displaced(self, split: str, stored: StoredTrace) -> Finding:
        moved = np.flatnonzero(_displaced(stored))
        shifts = np.unique((stored.nearest - stored.rows)[moved] % stored.stored)
        by = f"each {int(shifts[0])} rows further on" if len(shifts) == 1 and len(moved) > 1 else "in other rows"
        row, place = int(stored.rows[moved[0]]), int(stored.nearest[moved[0]])
        return self.finding(
            "bottleneck",
            f"Of {len(stored.rows)} {split} images that were run through the backbone again, the features of "
            f"{len(moved)} are stored {by} (those of image {row} in row {place}): features and labels do not belong "
            "together.",
            measured={
                "images_run_again": len(stored.rows),
                "features_found_in_another_row": len(moved),
                "rows": [int(found) for found in stored.rows],
                "rows_that_hold_their_features": [int(found) for found in stored.nearest],
                "largest_distance_to_own_row_relative": float(stored.own.max()),
                "largest_distance_to_nearest_row_relative": float(stored.nearest_distance[moved].max()),
            },
            expected="row i of the stored features is what the backbone gives for image i",
            patch={"bottleneck.features": None},
            key="features",
        )

    def _relabelled(self, evidence: Evidence) -> Iterable[Finding]:
        for split, (mine, other) in shared_labels(evidence).items():
            wrong = len(mine) - _explained(mine, other)
            if wrong > max(1, MISLABELLED * len(mine)):
                yield self.finding(
                    "both",
                    f"{wrong} of {len(mine)} {split} samples have another class in the frozen arm than in the "
                    "bottleneck arm, and no renumbering of the classes explains it: in one arm labels stand in another "
                    "order than the images.",
                    measured={
                        "samples_with_another_class": wrong,
                        "samples_in_both_arms": len(mine),
                        "split": split,
                    },
                    expected="every image has the same class in both arms",
                    patch={
                        "frozen.data.train": SameAs("bottleneck"),
                        "frozen.data.validation": SameAs("bottleneck"),
                    },
                    key="data.train" if split == "training" else "data.validation",
                )
                return


def _displaced(stored: StoredTrace) -> npt.NDArray[np.bool_]:
    """Which rows hold the features of others: not their own, but those of exactly one other row."""
    return ~same_features(stored.own) & same_features(stored.nearest_distance)


def _is_displaced(stored: StoredTrace) -> bool:
    unexplained = ~same_features(stored.nearest_distance)
    return bool(_displaced(stored).sum() > unexplained.sum())


def _explained(mine: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> int:
    """Most samples whose labels one renumbering explains; pairs of classes are taken by how often they occur."""
    pairs, counts = np.unique(np.stack([mine, other], axis=1), axis=0, return_counts=True)
    left: set[int] = set()
    right: set[int] = set()
    total = 0
    for index in np.argsort(-counts, kind="stable"):
        a, b = (int(value) for value in pairs[index])
        if a not in left and b not in right:
            total += int(counts[index])
            left.add(a)
            right.add(b)
    return max(total, int((mine == other).sum()))
