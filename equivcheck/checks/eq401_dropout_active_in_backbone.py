"""EQ401: dropout layers of the frozen backbone drop activations under ``fit``."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding


class DropoutActiveInBackbone(Check):
    """Judges stochastic layers of the backbone that zero part of their input."""

    code = "EQ401"
    name = "dropout-active-in-backbone"
    title = "Dropout is active in the frozen backbone during fit"
    what = (
        "Finds layers of the frozen arm's backbone that set a random part of their input to zero while `fit` runs. "
        "Freezing a layer keeps its weights; it does not switch dropout off."
    )
    why = (
        "The bottleneck arm's features were extracted by `predict`, where dropout is off. The frozen arm's head is "
        "trained on features with holes that change at every step, so the two heads see different inputs: training "
        "accuracy falls and the curves part."
    )
    shows = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dropout(0.5)])
base.trainable = False
model = keras.Sequential([base, keras.layers.Dense(2, activation="softmax")])
"""
    clean = """\
class InferenceMode(keras.layers.Layer):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def call(self, inputs):
        return self.network(inputs, training=False)


base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dropout(0.5)])
base.trainable = False
model = keras.Sequential([keras.Input((8,)), InferenceMode(base), keras.layers.Dense(2, activation="softmax")])
"""
    measured = (
        "Each layer is run twice in fit mode on the input that it received inside the whole model. It is reported when "
        "the two outputs differ and non-zero inputs came out as zero; the fraction dropped is counted on that input. "
        "Flags and rates are not looked at."
    )
    mistaken_for = (
        "Dropout in the head, which both arms have and which draws alike from one seed. `Dropout.trainable == True` in "
        "a summary, which means nothing. A rate of 0."
    )
    advice = (
        "Call the backbone in inference mode from inside a layer (`self.base(x, training=False)` in its `call`), or "
        "cut the backbone below the dropout. `base.trainable = False` and `base(x, training=False)` written into a "
        "functional graph do not switch it off under fit."
    )
    references = (
        "https://keras.io/api/layers/regularization_layers/dropout/",
        "https://keras.io/guides/transfer_learning/",
        "Szegedy et al. 2016, Inception-v4 (dropout behind the pooling)",
    )
    # Where a written training=False is overridden, that is the cause and the active layers are its consequence.
    requires = ("EQ406",)
    fault = Fault({"backbone.cut": "flatten"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all dropping layers of the backbone."""
        dropping = [
            layer
            for layer in evidence.frozen.layers
            if layer.region == "backbone"
            and layer.stochastic
            and layer.dropped > 0
            and not layer.composite
            and not layer.kind.startswith("Random")  # a turned image has black corners: EQ404
        ]
        if not dropping:
            return
        first = dropping[0]
        names = ", ".join(layer.path for layer in dropping)
        yield self.finding(
            "frozen",
            f"{names} set {100 * first.dropped:.0f} % of the activations to zero at random in every training step, "
            "while the stored features were extracted with dropout off; the head is trained on other inputs than the "
            "bottleneck arm's.",
            measured={
                "dropped_fraction": [round(layer.dropped, 4) for layer in dropping],
                "layers": [layer.path for layer in dropping],
                "relative_change_between_two_runs": [layer.noise for layer in dropping],
            },
            expected="two runs in fit mode give the same output",
            patch={"frozen.backbone.call": "inference"},
            key="backbone.cut",
            layer=first.path,
        )
