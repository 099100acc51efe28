"""EQ307: samples weigh differently in the two arms' losses."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence, OrderTrace
from equivcheck.findings import Cleared, Finding, SameAs

#: Weights arrive in float32.
EQUAL = 1e-6


class ClassWeightsInOneArm(Check):
    """Judges the weights that reach ``train_step`` with the samples."""

    code = "EQ307"
    name = "class-weights-in-one-arm"
    title = "Classes or samples are weighted differently in the two arms"
    what = "Compares, sample by sample, the weights that `fit` hands to the training step, class weights among them."
    why = (
        "A class that weighs twice as much pulls twice as hard: the head with weights favours rare classes, the one "
        "without favours frequent ones. Weights also change the size of all gradients, and with it the speed."
    )
    shows = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
model.fit(np.ones((4, 8)), np.array([0, 0, 0, 1]), class_weight={0: 1.0, 1: 3.0}, verbose=0)  # in one arm only
"""
    clean = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
model.fit(np.ones((4, 8)), np.array([0, 0, 0, 1]), verbose=0)  # in both arms
"""
    measured = (
        "`fit` itself pulls the real iterator with the arm's class_weight and sample_weight into a model that only "
        "writes down what its train_step gets. Weights are compared by sample where samples can be told, else by "
        "class; no weight is a weight of 1."
    )
    mistaken_for = (
        "The same weights written as class_weight in one arm and as sample_weight in the other. Weights of validation "
        "data. A smaller last batch, which Keras weights rightly."
    )
    advice = "Pass the same class_weight, or the same sample_weight for each sample, to both calls of fit."
    references = (
        "https://keras.io/api/models/model_training_apis/",
        "https://keras.io/examples/structured_data/imbalanced_classification/",
    )
    fault = Fault({"frozen.training.class_weight": {"five": 4.0}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for both arms."""
        ours, theirs = evidence.bottleneck.train, evidence.frozen.train
        if ours.weights is None and theirs.weights is None:
            return
        classes = _by_class(ours), _by_class(theirs)
        shared = sorted(classes[0].keys() & classes[1].keys())
        differing = [
            index for index in shared if not np.allclose(classes[0][index], classes[1][index], rtol=EQUAL, atol=EQUAL)
        ]
        samples = _differing_samples(ours, theirs) if evidence.matched else None
        # By class and by sample: with other class indices (EQ303) equal class weights fall on other samples.
        if not differing or samples == 0:
            return
        first = differing[0]
        weighted = [name for name, arm in evidence.arms() if arm.train.weights is not None]
        names = evidence.frozen.class_names
        shown = names[first] if first < len(names) else str(first)
        mine, other = (float(np.mean(found[first])) for found in classes)
        yield self.finding(
            "both",
            f"Samples of class {shown} weigh {mine:.4g} in the bottleneck arm's training steps and {other:.4g} in the "
            f"frozen arm's; {len(differing)} of {len(shared)} classes differ."
            + (f" Only the {weighted[0]} arm weights its samples." if len(weighted) == 1 else ""),
            measured={
                "classes_weighted_differently": len(differing),
                "first_class": shown,
                "bottleneck_mean_weight": mine,
                "frozen_mean_weight": other,
                **({} if samples is None else {"samples_weighted_differently": samples}),
            },
            expected="equal weights of equal samples",
            patch={"frozen.training.class_weight": SameAs("bottleneck")},
            key="training.class_weight",
        )


def _weights(order: OrderTrace) -> npt.NDArray[np.float64]:
    return np.ones(len(order.labels[0])) if order.weights is None else order.weights[0]


def _by_class(order: OrderTrace) -> dict[int, npt.NDArray[np.float64]]:
    """Lowest, highest and mean weight of each class."""
    weights, labels = _weights(order), order.labels[0]
    return {
        int(index): np.array([of_class.min(), of_class.mean(), of_class.max()])
        for index in np.unique(labels)
        for of_class in (weights[labels == index],)
    }


def _differing_samples(ours: OrderTrace, theirs: OrderTrace) -> int | None:
    """Samples of both arms whose weights differ; None where none is in both."""
    mine, other = (
        {int(row): float(weight) for row, weight in zip(order.samples[0], _weights(order), strict=True) if row >= 0}
        for order in (ours, theirs)
    )
    shared = mine.keys() & other.keys()
    return sum(abs(mine[row] - other[row]) > EQUAL * max(1.0, mine[row]) for row in shared) if shared else None
