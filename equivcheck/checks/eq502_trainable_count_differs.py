"""EQ502: the arms declare different numbers of trainable weights."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, Patch, SameAs


class TrainableCountDiffers(Check):
    """Judges the two arms' numbers of trainable scalars."""

    code = "EQ502"
    name = "trainable-count-differs"
    title = "The arms train different numbers of weights"
    what = "Compares how many scalars each arm's model holds as trainable when `fit` starts."
    why = (
        "Both arms should train the same head and nothing else. Another number of trained weights is another model: "
        "it has another capacity and starts from other values."
    )
    shows = """\
head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((16,)), keras.layers.Dense(8), keras.layers.Dense(2)])
"""
    clean = """\
head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
"""
    measured = "Scalars in `trainable_variables` of both live models, beside those that one real step moved."
    mistaken_for = "Non-trainable statistics and seed states, which `count_params` counts and this does not."
    advice = "Give both arms the same head, and freeze everything below it."
    references = ("https://keras.io/api/layers/base_layer/#trainable-property",)
    # A backbone that trains, another head, or a head that does not train at all makes the count differ too.
    requires = ("EQ501", "EQ503", "EQ504", "EQ506", "EQ508")
    fault = Fault(
        {"frozen.backbone.freeze": {"layers": ":-1"}},
        start={
            "head": [
                {"dense": {"units": 8, "activation": "relu"}},
                {"dense": {"units": 5, "activation": "softmax"}},
            ]
        },
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding where the counts differ."""
        ours, theirs = evidence.bottleneck.parameters, evidence.frozen.parameters
        if ours.trainable == theirs.trainable:
            return
        late = [v for v in evidence.frozen.variables if v.trainable and v.wanted]
        if late and ours.moved == theirs.moved:
            yield self.cleared(
                f"{len(late)} more variables are trainable in the frozen arm, but fit does not know (EQ503) and moves "
                "as many scalars as in the bottleneck arm",
                moved_scalars=theirs.moved,
            )
            return
        backbone = sum(v.size for v in evidence.frozen.variables if v.region == "backbone" and v.trainable)
        patch: Patch = {"frozen.backbone.freeze": True, "frozen.head": SameAs("bottleneck")}
        where = f"{backbone:,} of them in the backbone" if backbone else "all of them behind the cut"
        yield self.finding(
            "both",
            f"The bottleneck arm trains {ours.trainable:,} scalars, the frozen arm {theirs.trainable:,} ({where}), so "
            "they are not the same model on the same features.",
            measured={
                "bottleneck_trainable_scalars": ours.trainable,
                "frozen_trainable_scalars": theirs.trainable,
                "bottleneck_moved_scalars": ours.moved,
                "frozen_moved_scalars": theirs.moved,
            },
            expected="both arms train the same number of scalars",
            patch=patch,
            key="backbone.freeze",
        )
