"""EQ508: the two arms cut the backbone at different layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from equivcheck.check import Check, Fault
from equivcheck.diff.distance import differs
from equivcheck.evidence import ArmEvidence, CutTrace, Evidence, LayerTrace
from equivcheck.findings import Cleared, Finding, SameAs
from equivcheck.measured import LayerRow


class CutLayerDiffers(Check):
    """Judges where backbone and head meet."""

    code = "EQ508"
    name = "cut-layer-differs"
    title = "The heads sit on different layers of the backbone"
    what = (
        "Finds arms whose heads receive the output of different layers: another cut, another pooling, or a backbone "
        "layer that only one arm runs."
    )
    why = (
        "The features of another layer are other features: of other size, more or less specialised to the classes of "
        "the pretraining, with or without the last activation. The two heads solve different problems."
    )
    shows = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="fc1"), keras.layers.Dense(16, name="fc2")])
extractor = keras.Model(base.inputs, base.get_layer("fc1").output)
end_to_end = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(2)])
"""
    clean = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16, name="fc1"), keras.layers.Dense(16, name="fc2")])
extractor = keras.Model(base.inputs, base.get_layer("fc1").output)
end_to_end = keras.Sequential([keras.Input((8,)), extractor, keras.layers.Dense(2)])
"""
    measured = (
        "What the first layer of each head that has weights receives is compared in shape. Layers of the backbone that "
        "only one arm runs are looked for, and reported when, in inference mode, they change what passes through "
        "them; so are layers of another kind in the same place that give another output on the same input."
    )
    mistaken_for = (
        "A Flatten or a Dropout in one arm only: in inference mode they change no value and are cleared. Rescaling in "
        "front of the backbone (EQ201). The same layer written as another class, if it computes the same."
    )
    advice = "Cut both arms at the same layer and pool alike; make one function that returns the cut backbone."
    references = (
        "https://keras.io/guides/transfer_learning/",
        "https://github.com/keras-team/keras/issues/20147",
        "https://keras.io/api/applications/ (pooling, include_top)",
    )
    fault = Fault(
        {"frozen.backbone.cut": "fc1"},
        start={
            "backbone.file": "../backbones/vgg_small.keras",
            "backbone.cut": "flatten",
            "backbone.trained_with": {"rescale": 1 / 255},
            "preprocessing": {"rescale": 1 / 255},
        },
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """A finding where features have other shapes or come from other layers."""
        cut = evidence.cut
        if cut is None:
            return
        replaced = _replaced(evidence)
        if cut.shape_bottleneck == cut.shape_frozen and not (cut.only_bottleneck or cut.only_frozen or replaced):
            if cut.idle:
                yield self.cleared(
                    f"backbone layers in one arm only, {', '.join(cut.idle)}, change no value in inference mode",
                    layers=len(cut.idle),
                )
            return
        yield self.finding(
            "both",
            f"The bottleneck arm's head gets features of shape {cut.shape_bottleneck}, the frozen arm's of shape "
            f"{cut.shape_frozen}. {_layers(cut, replaced)}The two heads are trained on features of different layers.",
            measured={
                "bottleneck_feature_shape": list(cut.shape_bottleneck),
                "frozen_feature_shape": list(cut.shape_frozen),
                "layers_only_in_bottleneck": list(cut.only_bottleneck),
                "layers_only_in_frozen": list(cut.only_frozen),
                "layers_of_another_kind": [row.name for row in replaced],
            },
            expected="both heads sit on the same layer of the backbone",
            patch={
                f"frozen.backbone.{key}": SameAs("bottleneck") for key in ("application", "file", "callable", "cut")
            },
            key="backbone.cut",
            layer=next(iter((*cut.only_frozen, *cut.only_bottleneck, *(row.name for row in replaced))), None),
        )


def _by_path(arm: ArmEvidence) -> Mapping[str, LayerTrace]:
    return {layer.path: layer for layer in arm.layers}


def _replaced(evidence: Evidence) -> list[LayerRow]:
    """Layers without weights of another kind in the same place: max pooling where the other arm has average pooling."""
    ours, theirs = _by_path(evidence.bottleneck), _by_path(evidence.frozen)
    found = []
    for row in evidence.rows:
        a, b = ours.get(row.bottleneck or ""), theirs.get(row.frozen or "")
        if a is None or b is None or b.region != "backbone" or a.weights or a.kind == b.kind:
            continue
        if row.role == "source" and differs(row.inference) and not b.stochastic:
            found.append(row)
    return found


def _layers(cut: CutTrace, replaced: list[LayerRow]) -> str:
    parts = [
        f"Only the {arm} arm runs {', '.join(layers)}. "
        for arm, layers in (("bottleneck", cut.only_bottleneck), ("frozen", cut.only_frozen))
        if layers
    ]
    parts += [f"{row.name} is a {row.kind} in the frozen arm only. " for row in replaced]
    return "".join(parts)
