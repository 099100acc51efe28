"""EQ303: the same sample has another class index in the other arm."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.shared_labels import Labels, shared_labels
from equivcheck.evidence import ArmEvidence, Evidence
from equivcheck.findings import Cleared, Finding, SameAs


class ClassIndexMapDiffers(Check):
    """Judges which index each sample's label stands for in either arm."""

    code = "EQ303"
    name = "class-index-map-differs"
    title = "The arms number the classes differently"
    what = "Recovers, from the labels that really came with each sample, which index each class has in either arm."
    why = (
        "With other indices the same head weights answer for other classes. Within one arm that only renames the "
        "outputs, but heads that start from equal weights take other paths, weights and predictions of the two arms "
        "cannot be exchanged, and a validation set numbered in the other way scores at chance."
    )
    shows = """\
names = ["1", "2", "10"]
by_folder = {name: index for index, name in enumerate(sorted(names))}
by_number = {name: index for index, name in enumerate(sorted(names, key=int))}
"""
    clean = """\
names = ["1", "2", "10"]
by_folder = by_number = {name: index for index, name in enumerate(sorted(names))}
"""
    measured = (
        "Both training and validation iterators are pulled by `fit`; for every sample seen in both arms the class "
        "index is decoded from its label. It is reported when one index always becomes another."
    )
    mistaken_for = (
        "One-hot and sparse labels of the same indices. Labels shifted against their samples (EQ105). A validation "
        "split that is numbered by itself (EQ306)."
    )
    advice = "Write the class order down once (`classes=[...]`) and pass it to every reader of both arms."
    references = (
        "https://github.com/keras-team/keras/issues/7543",
        "https://github.com/keras-team/keras/issues/3054",
        "https://keras.io/api/data_loading/image/",
    )
    fault = Fault({"frozen.data.classes": ["seven", "nine", "five", "eight", "six"]})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for both splits."""
        labels = shared_labels(evidence)
        maps = {split: _index_map(*both) for split, both in labels.items()}
        changed = {
            split: moved for split, found in maps.items() if (moved := {a: b for a, b in found.items() if a != b})
        }
        # Training labels alike and validation labels not: one arm has two encoders (EQ306).
        if "training" in labels and "training" not in changed:
            return
        if not changed:
            return
        pairs = next(iter(changed.values()))
        shown = ", ".join(
            f"{_class_name(evidence.bottleneck, a)} is {b} instead of {a}" for a, b in list(pairs.items())[:3]
        )
        yield self.finding(
            "frozen",
            f"{len(pairs)} classes have another index in the frozen arm's {' and '.join(changed)} labels than in the "
            f"bottleneck arm's ({shown}), so heads with equal weights answer for different classes.",
            measured={
                "classes_renumbered": len(pairs),
                "splits": list(changed),
                "samples_compared": sum(len(mine) for mine, _ in labels.values()),
                "bottleneck_index_to_frozen_index": {str(a): b for a, b in pairs.items()},
            },
            expected="every sample has the same class index in both arms",
            patch={
                f"frozen.data.{key}": SameAs("bottleneck") for key in ("classes", "train.classes", "validation.classes")
            },
            key="data.classes",
        )


def _index_map(mine: Labels, other: Labels) -> dict[int, int]:
    """Index in one arm -> index in the other; empty where it is not one map."""
    found: dict[int, int] = {}
    for a, b in zip(mine.tolist(), other.tolist(), strict=True):
        if found.setdefault(a, b) != b:
            return {}
    return found if len(set(found.values())) == len(found) else {}


def _class_name(arm: ArmEvidence, index: int) -> str:
    return arm.class_names[index] if index < len(arm.class_names) else str(index)
