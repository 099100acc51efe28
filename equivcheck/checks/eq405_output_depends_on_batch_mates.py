"""EQ405: what the frozen backbone makes of a sample depends on the samples beside it, in every mode."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding


class OutputDependsOnBatchMates(Check):
    """Judges backbone layers that mix the samples of a batch, whatever the mode."""

    code = "EQ405"
    name = "output-depends-on-batch-mates"
    title = "A sample's features depend on the other samples of its batch"
    what = (
        "Finds layers of the backbone whose output for one sample changes with its batch mates and that do so in "
        "inference mode too: statistics over the wrong axis, normalisation by the batch in a layer of one's own, a "
        "matrix product between samples."
    )
    why = (
        "The stored features were computed once, in the batches of the extraction. In the frozen arm every epoch "
        "shuffles other mates together, so the same image has other features each time, and none of them is the "
        "stored one. In a batch of one such a layer may leave nothing at all."
    )
    shows = """\
class Centred(keras.layers.Layer):
    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=0, keepdims=True)  # over the batch


base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), Centred()])
base.trainable = False
"""
    clean = """\
class Centred(keras.layers.Layer):
    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=-1, keepdims=True)  # over the sample's own features


base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16), Centred()])
base.trainable = False
"""
    measured = (
        "Each layer gets the input that it received inside the whole model, once with all samples and once with half "
        "of them. It is reported when the same samples come out differently, beyond float noise, and the layer runs "
        "alike in fit and in inference mode."
    )
    mistaken_for = (
        "BatchNormalization on batch statistics, which inference mode does without (EQ402). Kernels that round "
        "otherwise for a batch of one: that is 6e-7, below what counts as a difference."
    )
    advice = (
        "Let the layer compute its statistics over the sample's own axes, never over axis 0, or use moving statistics "
        "that are frozen with the layer. Extract the features again after that."
    )
    references = (
        "https://keras.io/api/layers/normalization_layers/layer_normalization/",
        "https://keras.io/getting_started/faq/",
    )
    # There the normalisation, or that the network was not frozen, is the cause.
    requires = ("EQ402", "EQ406", "EQ501", "EQ503")
    fault = Fault({"backbone.file": None, "backbone.cut": None, "backbone.callable": "networks:centred"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all such layers."""
        if evidence.frozen.fitted_before:
            return  # the passes do not tell what a function that was traced earlier does
        backbone = [layer for layer in evidence.frozen.layers if layer.region == "backbone"]
        mixing = [layer for layer in backbone if layer.batch_gap > 0 and layer.mode_gap == 0 and not layer.composite]
        if not mixing:
            return
        worst = max(mixing, key=lambda layer: layer.batch_gap)
        yield self.finding(
            "frozen",
            f"{', '.join(f'{layer.path} ({layer.kind})' for layer in mixing)} gave the same samples other outputs "
            f"among other mates, {worst.path} by {worst.batch_gap:.2g} times its largest output, in fit and in "
            "inference alike. So an image has other features in every batch, and the stored ones are those of the "
            "batches of the extraction.",
            measured={
                "largest_relative_change_by_batch_mates": worst.batch_gap,
                "layers": [layer.path for layer in mixing],
            },
            expected="a sample's features are its own, whatever else is in the batch",
            key="backbone",
            layer=mixing[0].path,
        )
