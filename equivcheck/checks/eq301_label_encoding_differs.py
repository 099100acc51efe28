"""EQ301: the arms encode labels differently; harmless where each encoding meets its loss."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs

#: Sparse and one-hot labels, each with its cross-entropy, give losses this close (measured on Keras 3.15, float32).
SAME_LOSS = 5e-7


class LabelEncodingDiffers(Check):
    """Judges whether two label encodings give the same loss on the same predictions."""

    code = "EQ301"
    name = "label-encoding-differs"
    title = "The arms encode labels differently, and their losses differ"
    what = "Compares the labels as both losses meet them, and the losses that they give on one set of predictions."
    why = (
        "Sparse and one-hot labels are two spellings of one thing as long as each meets its own loss. Where the two "
        "pairs give different losses on the same predictions, the arms follow different gradients."
    )
    shows = """\
sparse = keras.losses.sparse_categorical_crossentropy(np.array([1]), np.array([[0.2, 0.8]]))
one_hot = keras.losses.binary_crossentropy(np.array([[0.0, 1.0]]), np.array([[0.2, 0.8]]))
"""
    clean = """\
sparse = keras.losses.sparse_categorical_crossentropy(np.array([1]), np.array([[0.2, 0.8]]))
one_hot = keras.losses.categorical_crossentropy(np.array([[0.0, 1.0]]), np.array([[0.2, 0.8]]))
"""
    measured = (
        "Shapes, types and values come from the real iterators. Both compiled losses are given the same predictions "
        "and each arm's own labels for the same samples, one sample at a time."
    )
    mistaken_for = "Sparse labels with sparse_categorical_crossentropy beside one-hot with categorical_crossentropy."
    advice = "Pair sparse labels with sparse_categorical_crossentropy, one-hot labels with categorical_crossentropy."
    references = ("https://keras.io/api/losses/probabilistic_losses/",)
    requires = ("EQ302", "EQ303")
    fault = Fault(
        {"frozen.labels": "one_hot", "frozen.training.loss": "binary_crossentropy"},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """Cleared where the losses are equal, a finding where they are not."""
        ours, theirs = evidence.bottleneck.labels, evidence.frozen.labels
        if ours.encoding == theirs.encoding or ours.per_sample is None or theirs.per_sample is None:
            return
        mine, other = ours.per_sample, theirs.per_sample
        if ours.profile and ours.profile.keys() == theirs.profile.keys():
            # The same question of every class, with the predictions given as each loss takes them: logits, or a softmax
            # whose logits Keras still knows, are another spelling too.
            mine, other = (np.concatenate([each.profile[index] for index in ours.profile]) for each in (ours, theirs))
        gap = float(np.abs(mine - other).max() / max(1.0, np.abs(mine).max()))
        pairs = f"{ours.encoding} labels with {ours.loss} and {theirs.encoding} labels with {theirs.loss}"
        if gap <= SAME_LOSS:
            yield self.cleared(
                f"{pairs} give the same loss on the same predictions: another spelling, not a cause",
                largest_loss_difference=gap,
                samples=len(ours.per_sample),
            )
            return
        yield self.finding(
            "both",
            f"{pairs} give losses that differ by up to {gap:.2g} on the same predictions for the same samples, so the "
            "arms follow different gradients.",
            measured={
                "bottleneck_labels": ours.encoding,
                "frozen_labels": theirs.encoding,
                "bottleneck_loss": ours.loss,
                "frozen_loss": theirs.loss,
                "largest_loss_difference": gap,
            },
            expected=f"losses equal to {SAME_LOSS:g}",
            patch={"frozen.labels": SameAs("bottleneck"), "frozen.training.loss": SameAs("bottleneck")},
            key="labels",
        )
