"""EQ302: the loss does not understand the labels it is given."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import ArmName, Cleared, Finding, SameAs


class LabelEncodingUnfitForLoss(Check):
    """Judges whether the loss rates the right prediction best."""

    code = "EQ302"
    name = "label-encoding-unfit-for-loss"
    title = "The labels are encoded in a way that the loss does not understand"
    what = "Finds labels for which the compiled loss raises, or does not rate the right class best."
    why = (
        "Integer labels given to a loss that expects one column per class are stretched over all columns, and the loss "
        "no longer depends on which class was predicted. The head then learns nothing, while the numbers look alive."
    )
    shows = """\
integers = np.array([[1.0]])
right, wrong = np.array([[0.1, 0.9, 0.0]]), np.array([[0.9, 0.1, 0.0]])
losses = [keras.losses.mean_squared_error(integers, prediction) for prediction in (right, wrong)]
"""
    clean = """\
one_hot = np.array([[0.0, 1.0, 0.0]])
right, wrong = np.array([[0.1, 0.9, 0.0]]), np.array([[0.9, 0.1, 0.0]])
losses = [keras.losses.mean_squared_error(one_hot, prediction) for prediction in (right, wrong)]
"""
    measured = (
        "For one real label of each class (eight classes at most) the compiled loss is asked about a confident "
        "prediction of each of those classes. It must be lowest for the class that the label stands for."
    )
    mistaken_for = "Two spellings that each fit their loss (EQ301). A loss that is merely unusual."
    advice = "Pair sparse labels with sparse_categorical_crossentropy, one-hot labels with any other loss."
    references = (
        "https://keras.io/api/losses/",
        "https://github.com/keras-team/keras/issues/13552",
    )
    fault = Fault(
        {"frozen.labels": "sparse"},
        start={"labels": "one_hot", "training.loss": "mean_squared_error"},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding per arm whose loss does not fit its labels."""
        for name, arm in evidence.arms():
            labels = arm.labels
            wrong = {index: best for index, best in labels.preferred.items() if best != index}
            if labels.failure is None and not wrong:
                continue
            other: ArmName = "bottleneck" if name == "frozen" else "frozen"
            effect = (
                f"raises {labels.failure}"
                if labels.failure
                else f"does not rate the right class best for {len(wrong)} of {len(labels.preferred)} classes, so it "
                "teaches the head something else"
            )
            yield self.finding(
                name,
                f"{labels.loss} meets {labels.encoding} labels of shape {labels.shape} against {labels.outputs} "
                f"outputs in the {name} arm and {effect}.",
                measured={
                    "labels": labels.encoding,
                    "label_shape": list(labels.shape),
                    "label_dtype": labels.dtype,
                    "loss": labels.loss,
                    "classes_asked": len(labels.preferred),
                    "classes_rated_wrong": len(wrong),
                },
                expected="the loss is lowest for the class that the label stands for",
                patch={f"{name}.labels": SameAs(other), f"{name}.training.loss": SameAs(other)},
                key="labels",
            )
