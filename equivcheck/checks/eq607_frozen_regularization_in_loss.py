"""EQ607: penalties on frozen weights are counted in the reported loss of one arm."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs


class FrozenRegularizationInLoss(Check):
    """Judges what a training step reports beyond the loss of its samples and the head's own penalties."""

    code = "EQ607"
    name = "frozen-regularization-in-loss"
    title = "The reported loss holds penalties that do not belong to the head"
    what = (
        "Finds an arm whose reported loss is higher than the loss of its samples and the penalties on its head's "
        "weights: penalties on the weights of the frozen backbone are added."
    )
    why = (
        "Frozen weights do not change, so their penalty is a constant: the loss curve lies higher by it, in training "
        "and in validation, while the accuracy is not touched. Compared by their losses, the arms seem to differ."
    )
    shows = """\
class Penalised(keras.layers.Dense):
    def call(self, inputs):
        self.add_loss(0.01 * keras.ops.sum(keras.ops.square(self.kernel)))  # also when it is frozen
        return super().call(inputs)
"""
    clean = """\
penalised = keras.layers.Dense(4, kernel_regularizer=keras.regularizers.L2(0.01))
penalised.trainable = False  # Keras 3 leaves out the penalty of a frozen weight
"""
    measured = (
        "Both arms take one real training step from equal heads on equal features. From the loss that it reports, "
        "the compiled loss of its samples and the penalties on the head's weights are taken away. What is left must be "
        "equal in both arms to 1e-5 of the reported loss."
    )
    mistaken_for = (
        "A penalty on the head in one arm (EQ702), which changes gradients. Regularizers of frozen layers in Keras 3, "
        "which do not count. A penalty of the head's activations in both arms."
    )
    advice = (
        "Compare accuracies, or remove the regularizers of the frozen layers; in code of your own, add a layer's "
        "penalty only while the layer is trainable."
    )
    references = (
        "https://keras.io/api/layers/regularizers/",
        "https://keras.io/api/layers/base_layer/#add_loss-method",
    )
    requires = ("EQ301", "EQ302", "EQ304", "EQ307", "EQ501", "EQ603")
    fault = Fault(
        {"frozen.keras_semantics": "2.15"},
        start={
            "backbone": {
                "callable": "penalised_backbone:backbone",
                "trained_with": {"rescale": 0.00784313725490196, "offset": -1.0},
            }
        },
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for the arm that reports more."""
        update = evidence.update
        if update is None or update.extra_loss is None or not update.loss_gap <= NOISE:
            return
        ours, theirs = update.extra_loss
        more = theirs - ours
        if not abs(more) > NOISE * max(1.0, abs(ours), abs(theirs)):
            return
        name = "frozen" if more > 0 else "bottleneck"
        yield self.finding(
            "frozen" if more > 0 else "bottleneck",
            f"One training step from equal heads on equal features reports a loss that is {abs(more):.4g} higher in "
            f"the {name} arm, where every sample's loss is the same: a penalty on weights outside the head, which "
            "moves the loss curve and not the accuracy.",
            measured={
                "bottleneck_reported_loss_beyond_samples_and_head": ours,
                "frozen_reported_loss_beyond_samples_and_head": theirs,
                "difference": more,
            },
            expected="a reported loss of samples and trained weights",
            patch={f"{name}.keras_semantics": SameAs("bottleneck" if name == "frozen" else "frozen")},
            key="keras_semantics",
        )
