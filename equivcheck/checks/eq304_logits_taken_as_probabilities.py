"""EQ304: the loss takes the head's outputs for something that they are not."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence, LabelTrace
from equivcheck.findings import ArmName, Cleared, Finding, SameAs


class LogitsTakenAsProbabilities(Check):
    """Judges whether the loss takes the outputs for what the last layer gives."""

    code = "EQ304"
    name = "logits-taken-as-probabilities"
    title = "The loss takes logits for probabilities, or probabilities for logits"
    what = (
        "Finds a last layer without softmax or sigmoid in front of a loss of probabilities, and outputs that went "
        "through one already in front of a loss that sends them through it again."
    )
    why = (
        "A loss of probabilities cuts off what is below 0 and above 1: there the gradient is zero, and a sample is "
        "lost for the training. Probabilities taken for logits are at most 1 apart, so the loss stays high and the "
        "gradients small. Accuracy still moves, which hides both."
    )
    shows = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5)])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
"""
    clean = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
"""
    measured = (
        "The last layer is run again on its own input, 100 times and -100 times as large: only a softmax or sigmoid "
        "still gives values from 0 to 1. The compiled loss is asked about predictions beyond 0 and 1: one of logits "
        "goes on falling for a surer prediction, one of probabilities rates -1 and -2 alike. Tensors carry what the "
        "live outputs carry: Keras 3 goes back from a softmax to its logits where it still knows them."
    )
    mistaken_for = (
        "A softmax as last layer with from_logits=True: Keras 3 warns, uses the logits behind the softmax and gets the "
        "right loss. It is cleared where that was measured. Losses of numbers (squared error, hinge)."
    )
    advice = (
        "End the head in softmax (or sigmoid for one output) and leave from_logits out, or leave the activation out "
        "and compile with from_logits=True; the same in both arms."
    )
    references = (
        "https://keras.io/api/losses/probabilistic_losses/",
        "https://www.tensorflow.org/api_docs/python/tf/keras/losses/CategoricalCrossentropy (from_logits)",
    )
    requires = ("EQ302",)
    fault = Fault({"frozen.head": [{"dense": {"units": 5}}]})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """An error where one arm has the defect, a warning where both have."""
        wrong = [name for name, arm in evidence.arms() if _unfit(arm.labels)]
        for name, arm in evidence.arms():
            if name not in wrong and _recovered(arm.labels):
                yield self.cleared(
                    f"{arm.labels.loss} is told to expect logits in the {name} arm and given a softmax's or sigmoid's "
                    "outputs, but Keras goes back to the logits behind them: the loss is the right one",
                    arm=name,
                )
        if not wrong:
            return
        labels = getattr(evidence, wrong[0]).labels
        other: ArmName = "bottleneck" if wrong[0] == "frozen" else "frozen"
        both = len(wrong) > 1
        yield self.finding(
            "both" if both else wrong[0],
            f"The last layer of the {' and the '.join(wrong)} arm gives {labels.gives}, and {labels.loss} takes them "
            f"for {labels.takes}, so it "
            + (
                "cuts off all that is below 0 and above 1, and sends no gradient from there."
                if labels.gives == "logits"
                else "sends them through a softmax or sigmoid once more and sees hardly any difference between them."
            ),
            measured={
                "outputs_are": labels.gives,
                "loss_takes_them_for": labels.takes,
                "loss": labels.loss,
                "outputs": labels.outputs,
            },
            expected=f"the loss takes {labels.gives} for {labels.gives}",
            severity="warning" if both else "error",
            patch=None
            if both
            else {f"{wrong[0]}.head": SameAs(other), f"{wrong[0]}.training.loss": SameAs(other)}
            if getattr(evidence, other).labels.encoding == labels.encoding
            else {f"{wrong[0]}.head": SameAs(other)},
            key="head",
        )


def _unfit(labels: LabelTrace) -> bool:
    return None not in (labels.gives, labels.takes) and labels.gives != labels.takes


def _recovered(labels: LabelTrace) -> bool:
    return labels.gives == labels.takes == "probabilities" and labels.asked_for == "logits"
