"""EQ306: an arm numbers the classes of its validation labels otherwise than those of its training labels."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import ArmEvidence, Evidence, OrderTrace
from equivcheck.findings import ArmName, Cleared, Finding, SameAs


class LabelEncoderFittedPerSplit(Check):
    """Judges whether one arm's two splits number the classes alike."""

    code = "EQ306"
    name = "label-encoder-fitted-per-split"
    title = "Training and validation labels of one arm are numbered differently"
    what = (
        "Finds an arm whose validation labels have another number of columns, other class names in index order, or "
        "another index for the same sample than its training labels: an encoder was fitted to each split by itself."
    )
    why = (
        "Output 3 of the head then answers for one class while training and for another while validating. Training "
        "accuracy rises as it should and validation accuracy stays at or below chance, in that arm only."
    )
    shows = """\
encode = lambda names: np.unique(names, return_inverse=True)[1]  # what LabelEncoder().fit_transform does
train_labels = encode(["cat", "dog", "owl"])
validation_labels = encode(["dog", "owl", "dog"])  # the dog is 0 here and 1 there
"""
    clean = """\
classes = np.unique(["cat", "dog", "owl"])
train_labels = np.searchsorted(classes, ["cat", "dog", "owl"])
validation_labels = np.searchsorted(classes, ["dog", "owl", "dog"])
"""
    measured = (
        "Both iterators are pulled by `fit`. Labels are compared by their columns, by the class names that each split "
        "was read with, by samples that are in both splits, and by the samples of the other arm: where all training "
        "samples have the same index in both arms and validation samples have other ones, a split has its own encoder."
    )
    mistaken_for = (
        "A validation split that lacks a class but keeps the others' indices. Another class order in the whole arm "
        "(EQ303). Where only the other arm tells it, which of the two has the wrong validation labels is not known."
    )
    advice = (
        "Fit the encoder to the training labels once and only transform the others; pass the training generator's "
        "class names (`classes=[...]`, `class_names=[...]`) to the validation reader."
    )
    references = (
        "https://scikit-learn.org/stable/modules/generated/sklearn.preprocessing.LabelBinarizer.html",
        "https://keras.io/api/data_loading/image/",
        "https://github.com/keras-team/keras/issues/3054",
    )
    requires = ("EQ302",)
    fault = Fault({"frozen.data.validation.classes": ["seven", "nine", "five", "eight", "six"]})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding an arm where the arm itself shows it, else one for both."""
        found = {name: told for name, arm in evidence.arms() if (told := _within(arm)) is not None}
        for name, (message, measured) in list(found.items())[:1]:
            other: ArmName = "bottleneck" if name == "frozen" else "frozen"
            both = len(found) > 1
            keys = ("classes", "train.classes", "validation.classes")
            yield self.finding(
                "both" if both else name,
                f"In the {' and the '.join(found)} arm {message}: the head is validated on other classes than trained.",
                measured=measured,
                expected="both splits number the classes alike",
                severity="warning" if both else "error",
                patch=None if both else {f"{name}.data.{key}": SameAs(other) for key in keys},
                key="data.validation.classes",
            )
        if found or not evidence.matched:
            return
        moved = _between(evidence)
        if moved:
            yield self.finding(
                "both",
                f"All training samples have the same class index in both arms, but {moved} validation samples have "
                "another one in the frozen arm than in the bottleneck arm: one arm numbers its validation labels by "
                "themselves.",
                measured={"validation_samples_with_another_index": moved},
                expected="validation labels are numbered as training labels are",
                key="data.validation",
            )


def _within(arm: ArmEvidence) -> tuple[str, dict[str, object]] | None:
    """What one arm shows by itself."""
    train, validation = arm.train, arm.validation
    if validation is None:
        return None
    if train.label_columns != validation.label_columns:
        columns = {"training_columns": train.label_columns, "validation_columns": validation.label_columns}
        return (
            f"training labels have {train.label_columns} columns and validation labels {validation.label_columns}",
            {**columns, "outputs": arm.labels.outputs},
        )
    if train.classes and validation.classes and train.classes != validation.classes:
        moved = [
            name
            for index, name in enumerate(validation.classes)
            if index >= len(train.classes) or train.classes[index] != name
        ]
        if moved:
            message = f"{len(moved)} classes have another index in validation than in training, first {moved[0]!r}"
            return message, {"classes_renumbered": len(moved), "first_class": moved[0]}
    both = _label_by_id(train)
    again = _label_by_id(validation)
    shared = [(both[mark], again[mark]) for mark in both.keys() & again.keys()]
    differing = sum(a != b for a, b in shared)
    # One sample that lies in two folders is a slip of its own; an encoder moves every sample of a class.
    if differing and len({a for a, _ in shared}) > 1 and len(set(shared)) == len({a for a, _ in shared}):
        return (
            f"{differing} of the {len(shared)} samples that are in both splits have another class index in validation",
            {"samples_in_both_splits": len(shared), "samples_with_another_index": differing},
        )
    return None


def _label_by_id(order: OrderTrace) -> dict[bytes, int]:
    return dict(zip(order.ids, map(int, order.labels[0]), strict=False))


def _between(evidence: Evidence) -> int:
    """Validation samples with another index although no training sample has one."""
    ours, theirs = evidence.bottleneck, evidence.frozen
    if ours.validation is None or theirs.validation is None:
        return 0
    training = _moved(ours.train, theirs.train)
    validation = _moved(ours.validation, theirs.validation)
    if not training or any(a != b for a, b in training) or not validation:
        return 0
    # One map from index to index: an encoder. Anything else is labels that do not belong to their samples (EQ105).
    pairs = set(validation)
    is_map = len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    return sum(a != b for a, b in validation) if is_map else 0


def _moved(ours: OrderTrace, theirs: OrderTrace) -> list[tuple[int, int]]:
    """Class index in either arm of every sample that both have."""
    mine, other = ours.by_sample(), theirs.by_sample()
    return [(mine[row], other[row]) for row in mine.keys() & other.keys()]
