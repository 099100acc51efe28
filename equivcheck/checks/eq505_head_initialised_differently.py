"""EQ505: the two heads start from different weights."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs


class HeadInitialisedDifferently(Check):
    """Judges the values of the heads' weights before the first step."""

    code = "EQ505"
    name = "head-initialised-differently"
    title = "The two heads start from different weights"
    what = "Compares, weight by weight, the values that the heads of both arms hold when `fit` starts."
    why = (
        "From other weights the same training takes another way: on few images the curves of two random starts are "
        "some points apart. The seed alone does not settle it: Keras draws the seed of each layer in the order in "
        "which layers are made, so a head that is made after a backbone gets other weights than one that is made first."
    )
    shows = """\
keras.utils.set_random_seed(0)
head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
keras.utils.set_random_seed(0)
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
end_to_end = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(2)])
"""
    clean = """\
keras.utils.set_random_seed(0)
head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
keras.utils.set_random_seed(0)  # right before the head
end_to_end = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(2)])
"""
    measured = (
        "Layers of the two heads are aligned by name, kind and shape, and their variables compared by value before any "
        "training. Equal heads are equal to the last bit; up to 1e-5 of the largest weight is rounding."
    )
    mistaken_for = (
        "Heads that are built differently (EQ506). Names, which may differ. Random states of dropout, which are no "
        "weights."
    )
    advice = (
        "Call `keras.utils.set_random_seed(...)` right before the head is made, in both arms, or hand the weights "
        "over: `end_to_end.layers[-1].set_weights(head.layers[-1].get_weights())`."
    )
    references = (
        "https://keras.io/api/utils/python_utils/#setrandomseed-function",
        "https://keras.io/api/layers/initializers/",
    )
    # Other heads start from other weights, and so does one that is drawn anew on each run or was trained before.
    requires = ("EQ506", "EQ508", "EQ705")
    fault = Fault(
        {"frozen.head": [{"dense": {"units": 5, "activation": "softmax", "kernel_initializer": "he_normal"}}]}
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for all weights of the head."""
        head = [gap for gap in evidence.values if gap.region == "head"]
        apart = [gap for gap in head if gap.max_abs != 0]
        if not apart:
            return
        worst = max(apart, key=lambda gap: gap.max_rel)
        if worst.max_rel <= NOISE:
            yield self.cleared(
                f"the heads' initial weights differ by rounding, {worst.max_rel:.1g} of the largest",
                largest_relative_difference=worst.max_rel,
            )
            return
        yield self.finding(
            "both",
            f"{len(apart)} of the {len(head)} weight tensors of the head have other values in the frozen arm before "
            f"the first step, first {apart[0].path_frozen}: up to {apart[0].max_abs:.2g}, where the largest weight of "
            f"the bottleneck arm's is {_scale(apart[0].max_abs, apart[0].max_rel)}. So the two trainings set out from "
            "different places.",
            measured={
                "tensors_with_other_values": len(apart),
                "head_weight_tensors": len(head),
                "largest_absolute_difference": max(gap.max_abs for gap in apart),
                "first_variable": apart[0].path_frozen,
            },
            expected="both heads start from equal weights",
            patch={
                "frozen.head": SameAs("bottleneck"),
                "frozen.head_weights": SameAs("bottleneck"),
                "frozen.training.seed": SameAs("bottleneck"),
            },
            key="head",
            layer=apart[0].layer,
        )


def _scale(max_abs: float, max_rel: float) -> str:
    return f"{max_abs / max_rel:.2g}" if max_rel else "0"
