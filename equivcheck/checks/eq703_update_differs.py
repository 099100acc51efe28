"""EQ703: the same gradients move the two heads differently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence, VariableGap
from equivcheck.findings import Cleared, Finding, SameAs


class UpdateDiffers(Check):
    """Judges what the optimizers make of equal gradients."""

    code = "EQ703"
    name = "update-differs"
    title = "Equal gradients change the two heads differently"
    what = (
        "Compares, variable by variable, how far the two optimizers move heads of equal weights when they are handed "
        "the same gradients, and what they keep for the next step. It says after how many steps equality ends."
    )
    why = (
        "A constraint of the weights in one head, or an optimizer written otherwise, makes other steps of the same "
        "gradient: the heads part from the first step on, or from the step in which it first matters, and so do the "
        "curves."
    )
    shows = """\
limited = keras.constraints.MaxNorm(0.5)
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, kernel_constraint=limited)])
bottleneck.compile(optimizer="rmsprop", loss="mean_squared_error")
end_to_end.compile(optimizer="rmsprop", loss="mean_squared_error")
"""
    clean = """\
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
bottleneck.compile(optimizer="rmsprop", loss="mean_squared_error")
end_to_end.compile(optimizer="rmsprop", loss="mean_squared_error")
"""
    measured = (
        "Both live optimizers are handed the bottleneck arm's gradients, three steps long or until the weights differ. "
        "Weights and slots are compared after each step. Since the gradients are the very same, no rounding of theirs "
        "is made large by an optimizer that divides by them. Updates differ where they are further apart than 1e-5 of "
        "the largest, beyond one rounding of the stored weight; on clean pairs the gap is 0."
    )
    mistaken_for = (
        "Other gradients (EQ702). Decay, averaging or clipping on a frozen backbone, which does not move. Another rule "
        "(EQ601), learning rate (EQ602), clipping (EQ606) or state (EQ608) of the optimizer, which have names of their "
        "own; this one is left for constraints of the weights and for optimizers that cannot be taken apart."
    )
    advice = (
        "Give both arms an optimizer of the same class with the same arguments, made afresh for each compile, and the "
        "same constraints on the head's weights."
    )
    references = (
        "https://keras.io/api/optimizers/",
        "Kingma and Ba 2015, Adam (the first step divides the gradient by its own size)",
    )
    # A norm that is clipped over the weights of an unfrozen backbone too shortens the head's update; the others name
    # what makes the updates differ. What is left: constraints of the weights, and optimizers that Keras does not know.
    requires = ("EQ501", "EQ503", "EQ504", "EQ601", "EQ602", "EQ606", "EQ608")
    fault = Fault(
        {
            "frozen.head": [
                {
                    "dense": {
                        "units": 5,
                        "activation": "softmax",
                        "kernel_constraint": {"class_name": "MaxNorm", "config": {"max_value": 0.1}},
                    }
                }
            ]
        }
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding: the first variable that is moved differently, or else the first slot that differs."""
        update = evidence.update
        if update is None:
            return
        moved, kept = _differing(update.updates), _differing(update.slots)
        if not moved and not kept:
            return
        first = (moved or kept)[0]
        step = update.equal_steps + 1
        if moved:
            told = (
                f"Step {step} is the first that moves the heads differently although both optimizers got the same "
                f"gradients: {len(moved)} of {len(update.updates)} variables, first {first.path_frozen}. The cosine of "
                f"the two updates is {first.cosine:.6g}; the frozen arm's is {first.norm_ratio:.6g} times as long as "
                "the bottleneck arm's."
            )
        else:
            told = (
                f"{update.steps} steps on the same gradients moved both heads alike, but the optimizers do not keep "
                f"the same: {first.path_frozen} {_slot(first)}. Later steps, or the end of fit, can differ."
            )
        yield self.finding(
            "both",
            told,
            measured={
                "update_cosine" if moved else "slot_cosine": first.cosine,
                f"{'update' if moved else 'slot'}_norm_ratio_frozen_to_bottleneck": first.norm_ratio,
                "largest_relative_difference": first.max_rel,
                "first_variable": first.path_frozen,
                **({"step_at_which_equality_ends": step, "variables_moved_differently": len(moved)} if moved else {}),
                "slots_that_differ": len(kept),
            },
            expected="equal gradients move equal weights alike",
            patch={"frozen.training.optimizer": SameAs("bottleneck"), "frozen.head": SameAs("bottleneck")},
            # Optimizers that were taken apart and found alike leave the head's constraints.
            key="head" if update.rules is not None else "training.optimizer",
            layer=first.path_frozen.rpartition("/")[0] if moved else None,
        )


def _differing(gaps: Sequence[VariableGap]) -> list[VariableGap]:
    return [gap for gap in gaps if not gap.max_rel <= NOISE]


def _slot(gap: VariableGap) -> str:
    if gap.norm_ratio in (0.0, float("inf")):
        return f"is in the {'bottleneck' if gap.norm_ratio == 0 else 'frozen'} arm only"
    return f"has a cosine of {gap.cosine:.6g} with the bottleneck arm's and {gap.norm_ratio:.6g} times its length"
