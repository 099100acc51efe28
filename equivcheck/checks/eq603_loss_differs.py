"""EQ603: the arms' losses rate the same prediction for the same class differently."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence, LabelTrace
from equivcheck.findings import Cleared, Finding, SameAs


class LossDiffers(Check):
    """Judges what both compiled losses make of the same predictions."""

    code = "EQ603"
    name = "loss-differs"
    title = "The arms minimise different losses"
    what = (
        "Compares the two compiled losses on one set of predictions: another function, other arguments such as "
        "label_smoothing, another factor (loss_weights), or a sum over the batch where the other arm takes the mean."
    )
    why = (
        "Another loss has other gradients, so the heads follow other paths; and the loss curves are in other units. A "
        "sum over the batch makes every gradient as many times larger as there are samples in it."
    )
    shows = """\
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
bottleneck.compile(loss=keras.losses.CategoricalCrossentropy())
end_to_end.compile(loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1))
"""
    clean = """\
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
bottleneck.compile(loss=keras.losses.CategoricalCrossentropy())
end_to_end.compile(loss=keras.losses.SparseCategoricalCrossentropy())  # with integer labels
"""
    measured = (
        "For a label of each class as its own iterator yields it, each compiled loss is asked about confident "
        "predictions of these classes and an undecided one: equal probabilities in both arms, given as logits to a "
        "loss that takes logits. They differ where they are further apart than 1e-5 of the largest. Four equal samples "
        "in one batch tell a sum from a mean."
    )
    mistaken_for = (
        "Sparse and one-hot labels, each with its cross-entropy, or logits with from_logits=True beside a softmax: the "
        "same loss. Losses that are another only because labels are encoded otherwise (EQ301). Penalties on weights "
        "(EQ702, EQ607) and class weights (EQ307)."
    )
    advice = "Compile both arms with the same loss, the same arguments and the same loss_weights."
    references = (
        "https://keras.io/api/losses/",
        "https://keras.io/api/losses/probabilistic_losses/",
    )
    requires = ("EQ301", "EQ302", "EQ704")
    fault = Fault(
        {"frozen.training.loss": "mean_squared_error"},
        start={"labels": "one_hot", "training.loss": "categorical_crossentropy"},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for both arms."""
        ours, theirs = evidence.bottleneck.labels, evidence.frozen.labels
        shared = sorted(ours.profile.keys() & theirs.profile.keys())
        if ours.outputs != theirs.outputs or ours.profile.keys() != theirs.profile.keys() or not shared:
            return
        mine, other = (np.array([labels.profile[index] for index in shared]) for labels in (ours, theirs))
        gap = float(np.abs(mine - other).max() / max(float(np.abs(mine).max()), NOISE))
        repeated = _sums(ours), _sums(theirs)
        if gap <= NOISE and repeated[0] == repeated[1]:
            return
        # The row of a class holds the loss of its own confident prediction at the place of the class.
        own = float(mine[0, 0]), float(other[0, 0])
        if gap > NOISE:
            told = (
                f"{ours.loss} in the bottleneck arm and {theirs.loss} in the frozen arm rate the same predictions "
                f"differently: a confident right one {own[0]:.4g} and {own[1]:.4g}."
            )
        else:
            summing = "bottleneck" if repeated[0] else "frozen"
            told = (
                f"Both losses rate a single sample alike, but the {summing} arm's adds the samples of a batch up where "
                "the other takes their mean."
            )
        yield self.finding(
            "both",
            told,
            measured={
                "bottleneck_loss": ours.loss,
                "frozen_loss": theirs.loss,
                "bottleneck_loss_of_a_right_prediction": own[0],
                "frozen_loss_of_a_right_prediction": own[1],
                "largest_relative_difference": gap,
                "bottleneck_loss_of_four_samples_to_one": ours.repeat_ratio,
                "frozen_loss_of_four_samples_to_one": theirs.repeat_ratio,
            },
            expected="equal losses of equal predictions",
            patch={"frozen.labels": SameAs("bottleneck"), "frozen.training.loss": SameAs("bottleneck")},
            key="training.loss",
        )


def _sums(labels: LabelTrace) -> bool:
    """Whether four equal samples have a larger loss than one."""
    return labels.repeat_ratio is not None and abs(labels.repeat_ratio - 1) > NOISE
