"""EQ107: a shuffle that reaches only a few samples ahead leaves classes in runs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.diff.runs import count_runs, displacement, is_class_sorted, runs_score
from equivcheck.evidence import ArmEvidence, Evidence
from equivcheck.findings import ArmName, Cleared, Finding, SameAs

#: A sample of a buffer of n / 2 is displaced by about half of what a full shuffle displaces it; with more the classes
#: of a sorted folder mix.
LOCAL = 0.5


class ShuffleBufferTooSmall(Check):
    """Judges shuffled orders in which samples hardly leave their place while classes still come in runs."""

    code = "EQ107"
    name = "shuffle-buffer-too-small"
    title = "The shuffle buffer is too small to mix the classes"
    what = (
        "Finds a training iterator that shuffles, but moves each sample only a little from where it is stored, so that "
        "samples stored class by class still come almost class by class."
    )
    why = (
        "Dataset.shuffle(n) draws the next sample from the n that come next in storage. With a buffer far smaller than "
        "a class each batch holds one or two classes, and each step pulls the head towards them."
    )
    shows = """\
x, y = np.zeros((800, 4), "float32"), np.repeat([0, 1], 400)
samples = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(8).batch(4)
"""
    clean = """\
x, y = np.zeros((800, 4), "float32"), np.repeat([0, 1], 400)
samples = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x)).batch(4)
"""
    measured = (
        "`fit` pulls two epochs from the real iterator. The mean distance of a sample from its place in storage (or, "
        "where that is unknown, in the other epoch) is compared with that of a full shuffle, a third of the samples; "
        "and the runs of one class with those of a random order (Wald-Wolfowitz runs test, p < 0.001)."
    )
    mistaken_for = (
        "Samples that are mixed in storage: then a small buffer does no harm. An order that is not shuffled, or only "
        "within each class (EQ104)."
    )
    advice = (
        "Give shuffle a buffer as large as the data set, or shuffle the list of files before reading them, which costs "
        "no memory: `files.shuffle(len(files))` in front of the map that decodes."
    )
    references = ("https://www.tensorflow.org/api_docs/python/tf/data/Dataset#shuffle",)
    requires = ("EQ108",)
    fault = Fault({"frozen.training.shuffle": {"buffer": 8}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding; a warning where both arms have such a buffer."""
        moved = {name: _local(arm, evidence) for name, arm in evidence.arms()}
        short: list[ArmName] = [name for name, fraction in moved.items() if fraction is not None]
        if not short:
            return
        both = len(short) == len(moved)
        arm = short[-1]
        order = dict(evidence.arms())[arm].train
        other: ArmName = "bottleneck" if arm == "frozen" else "frozen"
        yield self.finding(
            "both" if both else arm,
            f"The {' and the '.join(short)} arm moves a sample {100 * (moved[arm] or 0):.0f} % as far as a full "
            f"shuffle does: its {len(order.labels[0])} samples still come in {count_runs(order.labels[0])} runs of one "
            "class.",
            measured={
                "displacement_relative_to_full_shuffle": moved[arm],
                "runs_of_one_class": count_runs(order.labels[0]),
                "samples": len(order.labels[0]),
                "runs_score_standard_deviations": round(runs_score(order.labels[0]), 2),
                f"{other}_runs_of_one_class": count_runs(dict(evidence.arms())[other].train.labels[0]),
            },
            expected="a shuffled order mixes the classes as chance does",
            severity="warning" if both else "error",
            patch={f"{name}.training.shuffle": True for name in short}
            if both
            else {f"{arm}.training.shuffle": SameAs(other), f"{arm}.data.train": SameAs(other)},
            key="training.shuffle",
        )


def _local(arm: ArmEvidence, evidence: Evidence) -> float | None:
    """Mean displacement relative to a full shuffle's, where the order is shuffled but still in runs of one class."""
    order = arm.train
    labels, samples = order.labels[0], order.samples[0]
    if not is_class_sorted(labels) or count_runs(labels) <= len(np.unique(labels)):
        return None
    stored = order.available is not None or (evidence.matched and evidence.bottleneck.train.available is not None)
    if stored:
        moved = displacement(np.sort(samples), samples)
    elif len(order.samples) > 1:
        moved = displacement(samples, order.samples[1])
    else:
        return None
    return moved if moved is not None and 0 < moved < LOCAL else None
