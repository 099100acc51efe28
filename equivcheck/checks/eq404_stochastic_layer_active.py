"""EQ404: a random layer other than dropout draws in the frozen backbone under ``fit``."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import ArmEvidence, Evidence, LayerTrace
from equivcheck.findings import Cleared, Finding


class StochasticLayerActive(Check):
    """Judges backbone layers whose output differs from run to run although they set nothing to zero."""

    code = "EQ404"
    name = "stochastic-layer-active"
    title = "A random layer is active in the frozen backbone during fit"
    what = (
        "Finds layers of the frozen arm's backbone that give another output each time `fit` runs them on the same "
        "input, and that are not dropout: noise, alpha dropout, random image layers inside the network."
    )
    why = (
        "The stored features were extracted in inference mode, where such layers do nothing. In the frozen arm the "
        "head is trained on features that change at every step; `trainable = False` does not stop that."
    )
    shows = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.GaussianNoise(0.5)])
base.trainable = False
model = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(2, activation="softmax")])
"""
    clean = """\
class InferenceMode(keras.layers.Layer):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def call(self, inputs):
        return self.network(inputs, training=False)


base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.GaussianNoise(0.5)])
base.trainable = False
model = keras.Sequential([keras.Input((8,)), InferenceMode(base), keras.layers.Dense(2, activation="softmax")])
"""
    measured = (
        "Each layer is run twice in fit mode on the input that it received inside the whole model. It is reported when "
        "the two outputs differ by more than float noise and no input came out as zero, which is what dropout does."
    )
    mistaken_for = (
        "Dropout (EQ401). Augmentation in front of the backbone (EQ205). Noise in the head, which both arms have and "
        "which draws alike from one seed. A standard deviation of 0."
    )
    advice = (
        "Call the backbone in inference mode from inside a layer (`self.base(x, training=False)` in its `call`), or "
        "cut the backbone below the random layer. `base.trainable = False` and `base(x, training=False)` written into "
        "a functional graph do not switch it off under fit."
    )
    references = (
        "https://keras.io/api/layers/regularization_layers/gaussian_noise/",
        "https://keras.io/api/layers/regularization_layers/alpha_dropout/",
        "https://keras.io/guides/transfer_learning/",
    )
    # Where a written training=False is overridden, that is the cause and the active layers are its consequence.
    requires = ("EQ406",)
    fault = Fault({"backbone.file": None, "backbone.cut": None, "backbone.callable": "networks:noisy"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all such layers of the backbone."""
        active = [layer for layer in _random(evidence.frozen) if not layer.dropped or layer.kind.startswith("Random")]
        if not active:
            return
        first = max(active, key=lambda layer: layer.noise)
        yield self.finding(
            "frozen",
            f"{', '.join(f'{layer.path} ({layer.kind})' for layer in active)} gave other outputs in two runs of fit on "
            f"one input, {first.path} by {first.noise:.2g} times its largest output. The stored features were "
            "extracted without that; the head is trained on other inputs than the bottleneck arm's.",
            measured={
                "relative_change_between_two_runs": [layer.noise for layer in active],
                "layers": [layer.path for layer in active],
                "kinds": [layer.kind for layer in active],
            },
            expected="two runs in fit mode give the same output",
            patch={"frozen.backbone.call": "inference"},
            key="backbone",
            layer=active[0].path,
        )


def _random(arm: ArmEvidence) -> list[LayerTrace]:
    """Layers of the backbone that draw for themselves: of a layer and its parts only the part."""
    random = [layer for layer in arm.layers if layer.region == "backbone" and layer.stochastic]
    return [
        layer
        for layer in random
        if not any(other is not layer and other.path.startswith(f"{layer.path}/") for other in random)
        and not (layer.composite and len(random) > 1)
    ]
