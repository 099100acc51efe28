"""EQ702: heads that give equal outputs are sent different gradients."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence, UpdateTrace
from equivcheck.findings import Cleared, Finding, Patch, SameAs


class GradientsDiffer(Check):
    """Judges the gradients of the head's variables in one training step."""

    code = "EQ702"
    name = "gradients-differ"
    title = "Equal heads with equal outputs get different gradients"
    what = (
        "Compares, variable by variable, the gradients that both arms' training steps hand to their optimizers, where "
        "the heads have equal weights, were given equal features and gave equal outputs."
    )
    why = (
        "From equal outputs for equal labels the same gradient must follow. Where it does not, the arms minimise "
        "different things: another loss, another reduction of it, weights of samples or classes, a penalty on the "
        "weights, or a training step that is written otherwise."
    )
    shows = """\
plain = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
penalised = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, kernel_regularizer="l2")])
plain.compile(loss="mean_squared_error")
penalised.compile(loss="mean_squared_error")
"""
    clean = """\
plain = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
same = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
plain.compile(loss="mean_squared_error")
same.compile(loss="mean_squared_error")
"""
    measured = (
        "The frozen arm's head gets the bottleneck arm's weights and seed states and takes a real training step; the "
        "bottleneck arm takes one on the features that this head received. The gradients are read where the optimizer "
        "gets them. They differ where they are further apart than 1e-5 of the head's largest gradient, the bound for "
        "float noise of activations; on clean pairs, and for sparse labels beside one-hot ones, the gap is exactly 0."
    )
    mistaken_for = (
        "Anything in front of the head (dropout, preprocessing): both heads are fed the same features here. Labels "
        "(EQ301, EQ302, EQ303), which are judged first. Clipping of gradients, which is the optimizer's (EQ703). "
        "Weights of samples that a dataset yields are not seen."
    )
    advice = (
        "Compile both arms with the same loss, with the same reduction, and give their heads the same regularizers; "
        "pass the same class_weight and sample_weight to both fits."
    )
    references = (
        "https://keras.io/api/losses/",
        "https://keras.io/api/layers/regularizers/",
        "https://keras.io/api/models/model_training_apis/",
    )
    # Other labels, losses and weights of samples lead to other gradients, and so do another head and precision.
    requires = ("EQ301", "EQ302", "EQ303", "EQ304", "EQ307", "EQ506", "EQ603", "EQ704")
    fault = Fault(
        {
            "frozen.head": [
                {
                    "dense": {
                        "units": 5,
                        "activation": "softmax",
                        "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}},
                    }
                }
            ]
        }
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all variables, where outputs and classes agree."""
        update = evidence.update
        if update is None or update.relabelled or not update.output_gap <= NOISE:
            return
        differing = [gap for gap in update.gradients if not gap.max_rel <= NOISE]
        if not differing:
            return
        first = differing[0]
        other_loss = not update.loss_gap <= NOISE
        yield self.finding(
            "both",
            f"From equal weights, features and outputs of {update.samples} samples, {len(differing)} of the head's "
            f"{len(update.gradients)} gradients differ, first that of {first.path_frozen}: its cosine with the "
            f"bottleneck arm's is {first.cosine:.6g}, its length {first.norm_ratio:.6g} times the other's. "
            f"{_where_from(update)}",
            measured={
                "gradient_cosine": first.cosine,
                "gradient_norm_ratio_frozen_to_bottleneck": first.norm_ratio,
                "largest_difference_relative_to_largest_gradient": first.max_rel,
                "first_variable": first.path_frozen,
                "variables_with_another_gradient": len(differing),
                "variables_of_the_head": len(update.gradients),
                "relative_loss_difference_per_sample": update.loss_gap,
            },
            expected=f"gradients equal to {NOISE:g} of the largest",
            patch={**(_SAME_LOSS if other_loss else {}), "frozen.head": SameAs("bottleneck")},
            key="training.loss" if other_loss else "head",
            layer=first.path_frozen.rpartition("/")[0],
        )


_SAME_LOSS: Patch = {"frozen.labels": SameAs("bottleneck"), "frozen.training.loss": SameAs("bottleneck")}


def _where_from(update: UpdateTrace) -> str:
    if not update.loss_gap <= NOISE:
        return "The losses already give single samples different values, so the arms minimise different losses."
    return (
        "The losses give every single sample the same value, so it is what they are added up with: a penalty on the "
        "weights, another reduction, or weights of samples or classes."
    )
