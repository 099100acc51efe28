"""EQ701: a backbone layer computes something else in the other arm, and nothing else explains it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from equivcheck.check import Check, Fault
from equivcheck.diff.distance import differs
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence, LayerTrace
from equivcheck.findings import Cleared, Finding, SameAs
from equivcheck.measured import LayerRow


class ActivationsDiffer(Check):
    """Judges aligned backbone layers that make a difference which no other check has a name for."""

    code = "EQ701"
    name = "activations-differ"
    title = "A backbone layer gives other activations in the two arms"
    what = (
        "Finds layers of the backbone that have equal weights in both arms, are given the same input, and give other "
        "outputs: another epsilon, slope, padding or stride, another formula in a layer of one's own."
    )
    why = (
        "The head is trained on what such a layer makes of the images. Where the arms' layers compute different "
        "things, stored and live features differ, and with them every gradient of the head."
    )
    shows = """\
extractor = keras.Sequential([keras.Input((8,)), keras.layers.BatchNormalization(epsilon=1e-3)])
base = keras.Sequential([keras.Input((8,)), keras.layers.BatchNormalization(epsilon=1e-1)])
"""
    clean = """\
extractor = keras.Sequential([keras.Input((8,)), keras.layers.BatchNormalization(epsilon=1e-3)])
base = keras.Sequential([keras.Input((8,)), keras.layers.BatchNormalization(epsilon=1e-3)])
"""
    measured = (
        "Identical samples go through both arms. A layer is reported when its output differs although its input does "
        "not, or differs when both arms' layers are fed one input; beyond 1e-5 and beyond eight times what one "
        "rounding of the input makes of that layer. Layers whose weights, number types or randomness differ are left "
        "out: those have codes of their own."
    )
    mistaken_for = (
        "Layers behind the one that makes the difference, which only hand it on. Kernels that round otherwise for "
        "another batch size (6e-7), or by a sample's place in its batch, as some processors with AVX2 do: where that "
        "alone parts the curves, it is proved by a training without it, and cleared. Differences that a later layer "
        "undoes: such layers are cleared."
    )
    advice = (
        "Build both backbones by the same code with the same arguments, or copy one: `keras.models.clone_model(base)` "
        "and `set_weights`. The settings that differ are listed with the finding."
    )
    references = (
        "https://keras.io/api/layers/normalization_layers/batch_normalization/",
        "https://keras.io/guides/transfer_learning/",
    )
    requires = ("EQ206", "EQ209", "EQ705")
    fault = Fault(
        {"frozen.backbone.callable": "networks:other_epsilon"},
        start={"backbone.file": None, "backbone.cut": None, "backbone.callable": "networks:plain"},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all such layers; those whose difference is undone are cleared."""
        if evidence.frozen.fitted_before:
            return  # the passes do not tell what a function that was traced earlier does
        sources = list(_unexplained(evidence))
        lasting = [source for source in sources if source[0].undone_by is None]
        if not lasting:
            if sources:
                yield self.cleared(
                    f"{sources[0][0].name} gives other activations, but {sources[0][0].undone_by} undoes that",
                    layers=len(sources),
                )
            return
        row, ours, theirs = lasting[0]
        gap = row.training if differs(row.training) else row.inference
        assert gap is not None
        mode = "inference mode" if gap is row.inference else "fit"
        settings = {
            key: [ours.settings.get(key, "none"), theirs.settings.get(key, "none")]
            for key in sorted(ours.settings.keys() | theirs.settings.keys())
            if ours.settings.get(key) != theirs.settings.get(key)
        }
        told = "; ".join(f"{key}: {a} against {b}" for key, (a, b) in settings.items())
        yield self.finding(
            "both",
            f"{row.name} ({row.kind}) has equal weights in both arms and still gives other outputs, by "
            f"{gap.max_rel:.2g} times the largest in {mode}{f' ({told})' if told else ''}; {len(lasting)} layers of "
            "the backbone do so.",
            measured={
                "largest_relative_difference": gap.max_rel,
                "cosine": gap.cosine,
                "layers": [source[0].name for source in lasting],
                "settings_bottleneck_and_frozen": settings,
            },
            expected="equal layers give equal outputs for equal inputs",
            patch={f"frozen.backbone.{key}": SameAs("bottleneck") for key in ("application", "file", "callable")},
            key="backbone",
            layer=row.frozen,
        )


def _unexplained(evidence: Evidence) -> Iterator[tuple[LayerRow, LayerTrace, LayerTrace]]:
    """Aligned backbone layers that make a difference by themselves."""
    ours = {layer.path: layer for layer in evidence.bottleneck.layers}
    theirs = {layer.path: layer for layer in evidence.frozen.layers}
    weighted = {gap.layer for gap in evidence.values if not gap.max_rel <= NOISE}
    for row in evidence.rows:
        a, b = ours.get(row.bottleneck or ""), theirs.get(row.frozen or "")
        if row.role != "source" or a is None or b is None or b.region != "backbone":
            continue
        # Layers of another kind without weights are another pooling, say (EQ508).
        other_layer = a.weights != b.weights or (not b.weights and a.kind != b.kind)
        # A row's role is that of fit where fit differs, so it tells nothing of inference for dropout, noise or batch
        # statistics, which have codes of their own.
        in_fit = b.stochastic or b.batch_gap > 0
        if not (other_layer or in_fit or a.dtype != b.dtype or b.path in weighted):
            yield row, a, b
