"""EQ506: the two heads are not built alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import ArmEvidence, Evidence, LayerTrace
from equivcheck.findings import Cleared, Finding, SameAs


class HeadArchitectureDiffers(Check):
    """Judges the layers of the two heads, and what they make of equal weights and features."""

    code = "EQ506"
    name = "head-architecture-differs"
    title = "The two heads are built differently"
    what = (
        "Compares the heads layer by layer: number, kind, shapes of weights, and whether they compute the same from "
        "equal weights and equal features (activations, dropout rates, normalisation)."
    )
    why = (
        "Another head is another model: it has another capacity, another gradient and starts from other weights. No "
        "two trainings of it can agree, even where all that is before it is equal."
    )
    shows = """\
head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2, activation="softmax")])
end_to_end = keras.Sequential(
    [keras.Input((16,)), keras.layers.Dropout(0.5), keras.layers.Dense(2, activation="softmax")]
)
"""
    clean = """\
head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2, activation="softmax")])
end_to_end = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2), keras.layers.Activation("softmax")])
"""
    measured = (
        "The shapes of all weights of the live heads are listed in order. Where they agree, the frozen arm's head gets "
        "the bottleneck arm's weights and seed states, both are fed the same features in a training step, and their "
        "outputs are compared: further apart than 1e-5 of the largest output, they are different functions."
    )
    mistaken_for = (
        "The same function written with other layers (an activation as a layer of its own), which is cleared. A "
        "regularizer, which changes the gradient (EQ702). Other initial weights (EQ505). A part of the head that is "
        "frozen (EQ502)."
    )
    advice = "Build the head by one function that both arms call, with the same layers and arguments."
    references = ("https://keras.io/guides/transfer_learning/", "https://keras.io/api/layers/")
    # Other features need another head.
    requires = ("EQ304", "EQ508")
    fault = Fault(
        {
            "frozen.head": [
                {"dense": {"units": 8, "activation": "relu"}},
                {"dense": {"units": 5, "activation": "softmax"}},
            ]
        }
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """A finding where shapes or outputs differ; other layers that compute the same are cleared."""
        if not _known(evidence.bottleneck) and not evidence.matched:
            return  # where the frozen arm's head begins is not known then
        ours, theirs = _head(evidence.bottleneck), _head(evidence.frozen)
        if not ours or not theirs:
            return
        shapes = [[shape for layer in head for shape in layer.weights] for head in (ours, theirs)]
        output_gap = evidence.update.output_gap if evidence.update is not None else None
        differences = _differences(ours, theirs)
        if not differences and [layer.dtype for layer in ours] != [layer.dtype for layer in theirs]:
            output_gap = None  # rounded otherwise (EQ704)
        if shapes[0] == shapes[1] and (output_gap is None or output_gap <= NOISE):
            if differences and output_gap is not None:
                yield self.cleared(
                    f"the heads are written differently ({'; '.join(differences)}), but give the same outputs from "
                    "equal weights and features",
                    relative_output_difference=output_gap,
                )
            return
        if shapes[0] == shapes[1]:
            effect = (
                f"From equal weights and features their outputs differ by {output_gap:.2g} times the largest output."
            )
        else:
            effect = "Their weights have different shapes, so they cannot even be given equal values."
        yield self.finding(
            "both",
            f"The bottleneck arm's head is {_named(ours)}; the frozen arm's is {_named(theirs)}"
            f"{' (' + '; '.join(differences) + ')' if differences else ''}. {effect}",
            measured={
                "bottleneck_head_scalars": _scalars(evidence.bottleneck),
                "frozen_head_scalars": _scalars(evidence.frozen),
                "bottleneck_layers": [layer.kind for layer in ours],
                "frozen_layers": [layer.kind for layer in theirs],
                **({"relative_output_difference": output_gap} if output_gap is not None else {}),
            },
            expected="both heads have the same layers",
            patch={"frozen.head": SameAs("bottleneck")},
            key="head",
            layer=theirs[0].path,
        )


def _known(arm: ArmEvidence) -> bool:
    """Whether the arm's backbone is known."""
    return any(layer.region == "backbone" for layer in arm.layers)


def _head(arm: ArmEvidence) -> list[LayerTrace]:
    return [layer for layer in arm.layers if layer.region == "head" and not layer.composite]


def _scalars(arm: ArmEvidence) -> int:
    return sum(v.size for v in arm.variables if v.region == "head")


def _named(layers: Sequence[LayerTrace]) -> str:
    return " → ".join(f"{layer.kind} {layer.shape[-1]}" if layer.weights else layer.kind for layer in layers)


def _differences(ours: Sequence[LayerTrace], theirs: Sequence[LayerTrace]) -> list[str]:
    """In words: other kinds of layers, or other arguments of the same."""
    if [layer.kind for layer in ours] != [layer.kind for layer in theirs]:
        return [f"{_named(ours)} against {_named(theirs)}"]
    return [
        f"{key} of {b.path}: {a.settings.get(key, 'none')} against {b.settings.get(key, 'none')}"
        for a, b in zip(ours, theirs, strict=True)
        for key in sorted(a.settings.keys() | b.settings.keys())
        if a.settings.get(key) != b.settings.get(key)
    ]
