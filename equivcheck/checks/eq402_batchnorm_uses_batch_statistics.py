"""EQ402: normalisation layers of the frozen backbone use the batch's statistics under ``fit``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence, LayerTrace
from equivcheck.findings import Cleared, Finding, Patch

#: As the guide to fine-tuning has it.
_STAY_FROZEN = (
    "In phase {phase}, unfreeze all but BatchNormalization: set `layer.trainable = True` only where "
    "`not isinstance(layer, keras.layers.BatchNormalization)`, or call the backbone with training=False. The "
    "convolutions then learn on the statistics that validation uses too."
)


class BatchnormUsesBatchStatistics(Check):
    """Judges backbone layers whose output for one sample depends on its batch mates."""

    code = "EQ402"
    name = "batchnorm-uses-batch-statistics"
    title = "BatchNormalization in the frozen backbone normalises with batch statistics during fit"
    what = (
        "Finds layers of the frozen arm's backbone that, while `fit` runs, normalise with the mean and variance of the "
        "current batch instead of the moving statistics they learnt in pretraining."
    )
    why = (
        "The stored features were computed with the moving statistics. With batch statistics a sample's features "
        "depend on the samples beside it, and they are on another scale than those that `evaluate` and `predict` "
        "compute. The head fits features that validation never sees: training accuracy may rise while validation "
        "stays at chance, or the reverse."
    )
    shows = """\
class OldBatchNormalization(keras.layers.BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs, training=False)
        mean, variance = keras.ops.moments(inputs, axes=[0])
        return keras.ops.batch_normalization(inputs, mean, variance, -1, self.beta, self.gamma, self.epsilon)


base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), OldBatchNormalization()])
base.trainable = False
"""
    clean = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), keras.layers.BatchNormalization()])
base.trainable = False
"""
    measured = (
        "Each layer gets the input that it received inside the whole model: in fit mode, in fit mode with half of the "
        "batch, and in inference mode. It is reported when the same sample comes out differently among other mates and "
        "fit differs from inference, beyond float noise."
    )
    mistaken_for = (
        "A frozen BatchNormalization of TensorFlow 2 or Keras 3, which uses its moving statistics even where `fit` "
        "passes training=True. LayerNormalization and GroupNormalization, which never look at the batch."
    )
    advice = (
        "Freeze the layers with `trainable = False` under TensorFlow 2 or Keras 3, where a frozen BatchNormalization "
        "uses its moving statistics. In older Keras build the backbone with `K.set_learning_phase(0)`. For a layer of "
        "your own, let `call` use the moving statistics when `self.trainable` is False."
    )
    references = (
        "https://github.com/keras-team/keras/issues/9214",
        "https://github.com/keras-team/keras/pull/9965",
        "https://keras.io/getting_started/faq/",
        "https://keras.io/api/layers/normalization_layers/batch_normalization/",
    )
    # A backbone that was never frozen trains on batch statistics by design.
    requires = ("EQ501", "EQ503", "EQ406")
    # A phase that unfreezes convolutions need not hand its normalisation over to the batch.
    beside = ("EQ501",)
    fault = Fault({"frozen.keras_semantics": "2.2"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all such layers of the backbone."""
        if any(v.wanted for v in evidence.frozen.variables):
            return  # unfrozen too late (EQ503): the step that fit runs still knows the old flags
        backbone = [layer for layer in evidence.frozen.layers if layer.region == "backbone" and not layer.composite]
        live = [layer for layer in backbone if layer.batch_gap > 0 and layer.mode_gap > 0]
        if not live:
            return
        worst = max(live, key=lambda layer: layer.mode_gap)
        frozen_flag = not any(layer.trainable for layer in live)
        unfrozen_in = evidence.phase.unfrozen_in if evidence.phase is not None else ""
        declared = "are declared frozen (trainable=False) but" if frozen_flag else "are trainable and"
        moved = sum(v.statistic and v.change > 0 and v.region == "backbone" for v in evidence.frozen.variables)
        drift = f" One step also moves {moved} of the moving statistics." if unfrozen_in and moved else ""
        yield self.finding(
            "frozen",
            f"{len(live)} normalisation layers, from {live[0].path} on, {declared} normalise with the statistics of "
            f"the current batch in fit; {worst.path} alone moves its output by {worst.mode_gap:.2g} times its largest "
            "value against inference mode. The head is trained on features that neither the stored ones nor validation "
            f"share.{drift}",
            measured={
                "layers": len(live),
                "first_layer": live[0].path,
                "largest_relative_change_fit_against_inference": worst.mode_gap,
                "largest_relative_change_by_batch_mates": max(layer.batch_gap for layer in live),
                "training_flag_in_fit": live[0].flag.fit,
                "training_flag_in_evaluate": live[0].flag.evaluate,
            },
            expected="a frozen normalisation layer gives the same output in fit and in inference mode",
            patch=_patch(live, unfrozen_in),
            advice=None if frozen_flag or not unfrozen_in else _STAY_FROZEN.format(phase=unfrozen_in),
            key="keras_semantics" if frozen_flag else "backbone.freeze",
            layer=live[0].path,
        )


def _patch(live: Sequence[LayerTrace], unfrozen_in: str) -> Patch:
    frozen = [layer for layer in live if not layer.trainable]
    semantics = {"frozen.keras_semantics": "3"}
    if len(frozen) == len(live):
        return semantics
    if not unfrozen_in:
        return {"frozen.backbone.freeze": True}
    return {f"frozen.training.phases.{unfrozen_in}.unfreeze_batchnorm": False, **(semantics if frozen else {})}
