"""EQ406: a ``training=False`` written into the graph has no effect under ``fit``."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding


class TrainingFlagOverridden(Check):
    """Judges layers that receive ``training=True`` inside a network that is called with ``training=False``."""

    code = "EQ406"
    name = "training-flag-overridden"
    title = "training=False written into the graph is overridden by fit"
    what = (
        "Finds a backbone that a functional model calls with `training=False`, as the transfer-learning guide does, "
        "and whose layers receive `training=True` from `fit` all the same."
    )
    why = (
        "A functional model passes the `training` value of the outer call on to every layer of its graph, and it "
        "replaces what was written there. Dropout and unfrozen BatchNormalization of the backbone then run in training "
        "mode although the code says otherwise."
    )
    shows = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dropout(0.5)])
inputs = keras.Input((8,))
model = keras.Model(inputs, keras.layers.Dense(2)(base(inputs, training=False)))
"""
    clean = """\
class InferenceMode(keras.layers.Layer):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def call(self, inputs):
        return self.network(inputs, training=False)


base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.Dropout(0.5)])
inputs = keras.Input((8,))
model = keras.Model(inputs, keras.layers.Dense(2)(InferenceMode(base)(inputs)))
"""
    measured = (
        "The keywords are read off the graph of the live model, the flags off the layers' calls while `fit` runs one "
        "step. It is reported when a layer below such a call received True and behaves differently in the two modes "
        "on its own input."
    )
    mistaken_for = (
        "tf_keras and Keras 2, where the written flag wins. A backbone in which no layer depends on the mode: there "
        "the override is measured to be harmless and cleared."
    )
    advice = (
        "Put the call into a layer: `def call(self, x): return self.base(x, training=False)`. A flag passed inside "
        "`call` is kept under fit."
    )
    references = (
        "https://keras.io/guides/transfer_learning/",
        "keras/src/models/functional.py, operation_fn (3.0.5 to 3.15.1)",
    )
    requires = ()
    fault = Fault({"backbone.cut": "flatten", "frozen.backbone.call": "training_false"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """A finding where a layer's mode matters, else the override is cleared."""
        arm = evidence.frozen
        inside = [
            layer
            for layer in arm.layers
            if layer.flag.fit and any(name in layer.path.split("/") for name in arm.declared_inference)
        ]
        if not inside:
            return
        # A normalisation layer on batch statistics although frozen is old semantics (EQ402), not this flag's doing.
        active = [
            layer
            for layer in inside
            if not layer.composite and (layer.stochastic or (layer.mode_gap > 0 and layer.trainable))
        ]
        if not active:
            yield self.cleared(
                f"training=False written for {', '.join(arm.declared_inference)} is overridden under fit, but none of "
                "its layers depends on it",
                layers_receiving_true=len(inside),
            )
            return
        first = active[0]
        effect = f"drops {100 * first.dropped:.0f} % of its input" if first.dropped else "runs in training mode"
        yield self.finding(
            "frozen",
            f"The graph calls {', '.join(arm.declared_inference)} with training=False, yet under fit "
            f"{len(inside)} of its layers received training=True; {first.path} {effect} in every step. The stored "
            "features were extracted in inference mode, so the two heads see different inputs.",
            measured={
                "layers_receiving_true": len(inside),
                "called_with_training_false": list(arm.declared_inference),
                "active_layers": [layer.path for layer in active],
                "dropped_fraction": [round(layer.dropped, 4) for layer in active],
            },
            expected="layers called with training=False receive False under fit",
            patch={"frozen.backbone.call": "inference"},
            key="backbone.call",
            layer=first.path,
        )
