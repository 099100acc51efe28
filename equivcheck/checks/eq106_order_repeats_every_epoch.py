"""EQ106: one arm shuffles once, the other in every epoch."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence, OrderTrace
from equivcheck.findings import ArmName, Cleared, Finding, SameAs


class OrderRepeatsEveryEpoch(Check):
    """Judges arms that start alike, of which one repeats its order and the other draws a new one."""

    code = "EQ106"
    name = "order-repeats-every-epoch"
    title = "One arm repeats the order of its first epoch, the other reshuffles"
    what = "Compares, within each arm, the order of samples in the first epoch with that in the second."
    why = (
        "With one permutation for ever the same samples share a batch in every epoch, and the last of them always have "
        "the last word. The other arm mixes anew, so the two agree in the first epoch and part from the second on."
    )
    shows = """\
samples = tf.data.Dataset.range(8).shuffle(8, seed=0).cache()
"""
    clean = """\
samples = tf.data.Dataset.range(8).cache().shuffle(8, seed=0)
"""
    measured = (
        "`fit` pulls two epochs from each real iterator. It is reported where one arm's epochs are in one order, the "
        "other's are not, and the first epochs do not differ anyway."
    )
    mistaken_for = (
        "Two arms that both repeat: with a global seed `fit(arrays, shuffle=True)` draws one permutation for all "
        "epochs on TensorFlow, in both arms alike, and nothing is reported. Orders that differ from the first epoch on "
        "(EQ103)."
    )
    advice = (
        "Feed both arms by the same kind of iterator; or let both repeat. Arrays that fit shuffles repeat one order "
        "once a global seed is set (keras.utils.set_random_seed), a tf.data.Dataset where shuffle() stands before "
        "cache() or has reshuffle_each_iteration=False."
    )
    references = (
        "https://github.com/tensorflow/tensorflow/issues/35682",
        "https://www.tensorflow.org/api_docs/python/tf/data/Dataset#shuffle",
    )
    requires = ("EQ101", "EQ102", "EQ104", "EQ107", "EQ108")
    fault = Fault(
        {"frozen.training.shuffle": {"buffer": 120, "cached": True}},
        start={"training.shuffle": {"buffer": 120}},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding where exactly one arm repeats."""
        orders = {name: arm.train for name, arm in evidence.arms()}
        repeating: list[ArmName] = [name for name, order in orders.items() if _repeats(order)]
        if len(repeating) != 1 or not all(_holds_the_same(order) for order in orders.values()):
            return
        ours, theirs = (order.samples[0] for order in orders.values())
        if evidence.matched and not np.array_equal(ours, theirs):
            return
        arm = repeating[0]
        other: ArmName = "bottleneck" if arm == "frozen" else "frozen"
        first, second = orders[other].samples[:2]
        equal = float((first == second).mean())
        yield self.finding(
            arm,
            f"The {arm} arm shows its {len(orders[arm].samples[0])} samples in the same order in every epoch; the "
            f"{other} arm reshuffles, and from its first epoch to its second {100 * equal:.0f} % of the "
            "positions stay the same.",
            measured={
                "repeating_arm_positions_equal_fraction": 1.0,
                "other_arm_positions_equal_fraction": equal,
                "samples_per_epoch": len(first),
            },
            expected="both arms repeat their order, or both draw a new one in every epoch",
            patch={f"{arm}.training.shuffle": SameAs(other), f"{arm}.training.samples_per_epoch": SameAs(other)},
            key="training.shuffle",
        )


def _repeats(order: OrderTrace) -> bool:
    return len(order.samples) > 1 and np.array_equal(order.samples[0], order.samples[1])


def _holds_the_same(order: OrderTrace) -> bool:
    """Whether both epochs hold the same samples, so that only their order can differ."""
    return len(order.samples) > 1 and np.array_equal(np.sort(order.samples[0]), np.sort(order.samples[1]))
