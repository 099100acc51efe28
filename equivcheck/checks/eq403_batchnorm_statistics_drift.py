"""EQ403: moving statistics of the frozen backbone change during ``fit``."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding


class BatchnormStatisticsDrift(Check):
    """Judges statistics of the backbone that one training step moved."""

    code = "EQ403"
    name = "batchnorm-statistics-drift"
    title = "Moving statistics of the frozen backbone change during fit"
    what = (
        "Finds moving means and variances in the frozen arm's backbone that a training step overwrites, although the "
        "backbone is meant to stay as it is."
    )
    why = (
        "Validation and prediction normalise with the moving statistics. When they drift towards the new data, the "
        "backbone that validates is another one each epoch, and it is no longer the one that the stored features came "
        "from."
    )
    shows = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.BatchNormalization()])
base.trainable = False
base.layers[-1].trainable = True
"""
    clean = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.BatchNormalization()])
base.trainable = False
"""
    measured = (
        "Every variable that its layer does not train is compared before and after one real step of `fit`; random "
        "seed states are left out."
    )
    mistaken_for = "Statistics of a normalisation layer in the head, which both arms update alike."
    advice = (
        "Freeze every BatchNormalization of the backbone after all other changes to `trainable`, and check that "
        "`layer.trainable` is False for each of them, not only for the model that holds them."
    )
    references = (
        "https://github.com/keras-team/keras/issues/4762",
        "https://github.com/keras-team/keras/issues/7085",
        "https://keras.io/guides/transfer_learning/",
    )
    requires = ("EQ501", "EQ503")
    # Before Keras 2.1.3 one and the same behaviour normalised by the batch and moved the statistics.
    fault = Fault({"frozen.keras_semantics": "1.2"}, also=("EQ402",))

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all moved statistics of the backbone."""
        statistics = [v for v in evidence.frozen.variables if v.region == "backbone" and v.statistic]
        moved = [variable for variable in statistics if variable.change > 0]
        if not moved:
            return
        yield self.finding(
            "frozen",
            f"One training step changed {len(moved)} of {len(statistics)} moving statistics of the backbone (by up to "
            f"{max(variable.change for variable in moved):.2g}), so validation runs a backbone that drifts away from "
            "the one that the stored features came from.",
            measured={
                "moved_variables": len(moved),
                "statistics": len(statistics),
                "largest_absolute_change_in_one_step": max(variable.change for variable in moved),
            },
            expected="no variable of the backbone changes in a training step",
            patch={"frozen.keras_semantics": "3", "frozen.backbone.freeze": True},
            key="keras_semantics",
            layer=moved[0].layer,
        )
