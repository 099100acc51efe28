"""EQ507: the two arms' backbones hold different weights."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs


class BackboneWeightsDiffer(Check):
    """Judges the values of the backbones' weights and statistics."""

    code = "EQ507"
    name = "backbone-weights-differ"
    title = "The two arms' backbones hold different weights"
    what = (
        "Compares, variable by variable, the weights and moving statistics of the backbone that gave the stored "
        "features with those of the frozen arm's backbone before its training."
    )
    why = (
        "Another backbone gives other features: pretrained weights against random ones, weights of another file or "
        "another release, or a backbone that an earlier training has changed. The heads then learn different things."
    )
    shows = """\
extractor = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="features")])
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="features")])
"""
    clean = """\
extractor = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="features")])
base = keras.models.clone_model(extractor)
base.set_weights(extractor.get_weights())
"""
    measured = (
        "Layers are aligned by name, kind and shape, and their variables compared by value when `fit` starts. A "
        "difference above 1e-5 of the largest weight is reported; less is rounding and cleared. Two number types are "
        "compared in the coarser one."
    )
    mistaken_for = (
        "A backbone that trains (EQ501): that starts from equal weights. Another cut (EQ508). Features that were "
        "stored before the weights changed (EQ111)."
    )
    advice = (
        "Load the same weights in both arms, from one file, and extract the features with the very backbone that the "
        "frozen arm starts from: `base.set_weights(extractor.get_weights())`."
    )
    references = (
        "https://keras.io/api/applications/",
        "https://keras.io/api/models/model_saving_apis/weights_saving_and_loading/",
    )
    # Weights that are drawn anew on each run differ between any two.
    requires = ("EQ705",)
    fault = Fault(
        {"frozen.backbone.callable": "networks:retrained"},
        start={"backbone.file": None, "backbone.cut": None, "backbone.callable": "networks:plain"},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all variables; rounding is cleared."""
        backbone = [gap for gap in evidence.values if gap.region == "backbone"]
        apart = [gap for gap in backbone if not gap.max_rel <= NOISE]
        if not apart:
            rounded = [gap for gap in backbone if gap.max_abs > 0]
            if rounded:
                yield self.cleared(
                    f"{len(rounded)} weight tensors of the backbone differ by rounding",
                    largest_relative_difference=max(gap.max_rel for gap in rounded),
                )
            return
        yield self.finding(
            "both",
            f"{len(apart)} of the {len(backbone)} variables of the backbone, {sum(gap.size for gap in apart):,} "
            f"scalars, have other values in the frozen arm, from {apart[0].layer} on; {apart[0].path_frozen} by up to "
            f"{apart[0].max_abs:.2g}. The stored features are those of another network.",
            measured={
                "variables_with_other_values": len(apart),
                "backbone_variables": len(backbone),
                "scalars_with_other_values_in_them": sum(gap.size for gap in apart),
                "largest_absolute_difference": max(gap.max_abs for gap in apart),
                "first_variable": apart[0].path_frozen,
            },
            expected="both backbones hold the same weights",
            patch={
                f"frozen.backbone.{key}": SameAs("bottleneck") for key in ("application", "file", "callable", "weights")
            },
            key="backbone",
            layer=apart[0].layer,
        )
