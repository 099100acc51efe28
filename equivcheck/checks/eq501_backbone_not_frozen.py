"""EQ501: a training step changes weights of the backbone."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import ArmEvidence, Evidence
from equivcheck.findings import Cleared, Finding

#: Nothing is wrong with it; only a comparison with stored features ends there.
_FINE_TUNING = (
    "Keep it where fine-tuning is what you want, and read its share as what fine-tuning changes; the bottleneck arm "
    "can train on its stored features only. For two arms that stay comparable, leave the backbone frozen in phase "
    "{phase}."
)
#: Settings of an optimizer that change weights, or what other weights are changed by, beyond their own gradients.
_MOVING = ("weight_decay", "use_ema", "clipnorm", "global_clipnorm", "clipvalue")


class BackboneNotFrozen(Check):
    """Judges weights of the backbone that one training step moved."""

    code = "EQ501"
    name = "backbone-not-frozen"
    title = "A training step changes weights of the backbone"
    what = "Finds weights of the frozen arm's backbone that the optimizer updates, whatever `trainable` was set to."
    why = (
        "The bottleneck arm trains the head only. Where the backbone trains too, the features change under the head, "
        "far more weights fit the few images, large early gradients can destroy what was pretrained, and any "
        "BatchNormalization that is not frozen normalises by the batch and moves its statistics."
    )
    shows = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
inputs = keras.Input((8,))
model = keras.Model(inputs, keras.layers.Dense(2)(base(inputs)))
for layer in model.layers[:-2]:  # [input, base, head]: this is the input only
    layer.trainable = False
"""
    clean = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
base.trainable = False
inputs = keras.Input((8,))
model = keras.Model(inputs, keras.layers.Dense(2)(base(inputs)))
"""
    measured = (
        "All variables are compared before and after one real step of `fit`. What the step moved counts, not what "
        "`trainable_weights` lists."
    )
    mistaken_for = (
        "A slice that leaves out a layer without weights. Decay, averaging or clipping by the optimizer, which touch "
        "trained variables only. Moving statistics, which are EQ403."
    )
    advice = (
        "Set `base.trainable = False` on the backbone itself before compile (not on a slice of the outer model's "
        "layers, where a nested backbone is one layer), and compile again after every change."
    )
    references = (
        "https://github.com/keras-team/keras/issues/2395",
        "https://github.com/keras-team/keras/issues/4674",
        "https://keras.io/guides/transfer_learning/",
    )
    # There `trainable` is right, and the step only does not know.
    requires = ("EQ503",)
    fault = Fault(
        {"frozen.backbone.freeze": {"layers": ":-2"}},
        start={
            "backbone.file": "../backbones/vgg_small.keras",
            "backbone.cut": "flatten",
            "backbone.trained_with": {"rescale": 1 / 255},
            "preprocessing": {"rescale": 1 / 255},
        },
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all moved weights of the backbone; where none moves, what looks as if it would is cleared."""
        weights = [v for v in evidence.frozen.variables if v.region == "backbone" and not v.statistic]
        moved = [variable for variable in weights if variable.change > 0]
        if not moved:
            if weights and evidence.frozen.stepped:
                yield from self._harmless(evidence.frozen, len(weights))
            return
        live = [layer for layer in evidence.frozen.layers if layer.region == "backbone" and layer.batch_gap > 0]
        batch = f" {len(live)} of its normalisation layers use batch statistics with it." if live else ""
        phase = evidence.phase
        asked = phase.unfrozen_in if phase is not None else ""
        wish = f" Phase {asked} of the spec asks for it, so this is what fine-tuning adds." if asked else ""
        yield self.finding(
            "frozen",
            f"One training step changed {len(moved)} of the backbone's {len(weights)} weight tensors, "
            f"{sum(variable.size for variable in moved):,} scalars from {moved[0].layer} on; the bottleneck arm's "
            f"backbone stays as it was pretrained.{batch}{wish}",
            measured={
                "moved_weight_tensors": len(moved),
                "backbone_weight_tensors": len(weights),
                "moved_scalars": sum(variable.size for variable in moved),
                "declared_trainable_scalars": sum(variable.size for variable in weights if variable.trainable),
                "largest_absolute_change_in_one_step": max(variable.change for variable in moved),
            },
            expected="a training step moves the head and nothing else",
            patch={"frozen.backbone.freeze": True},
            key="backbone.freeze",
            layer=moved[0].layer,
            advice=_FINE_TUNING.format(phase=asked) if asked else None,
            asked=bool(asked),
        )

    def _harmless(self, arm: ArmEvidence, weights: int) -> Iterable[Cleared]:
        """Flags of layers without weights, and settings of the optimizer that would move a weight that it is given."""
        still = f"a training step moves none of the backbone's {weights} weight tensors"
        idle = [layer for layer in arm.layers if layer.region == "backbone" and layer.trainable and not layer.composite]
        if idle and not any(layer.weights for layer in idle):
            yield self.cleared(
                f"{', '.join(dict.fromkeys(layer.path for layer in idle))} of the backbone says trainable but has no "
                f"weights: {still}",
                layers_without_weights=len(idle),
                backbone_weight_tensors=weights,
                moved_weight_tensors=0,
            )
        if moving := [f"{key}={arm.optimizer[key]}" for key in _MOVING if arm.optimizer.get(key)]:
            yield self.cleared(
                f"the optimizer's {', '.join(moving)} does not reach what is frozen: {still}",
                backbone_weight_tensors=weights,
                moved_weight_tensors=0,
            )
