"""EQ601: the optimizers make other steps of the same gradients, whatever their learning rates."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs

#: Settings that other checks judge (EQ602, EQ606), or that only name the optimizer.
_ELSEWHERE = frozenset({"name", "learning_rate", "clipnorm", "global_clipnorm", "clipvalue"})


class OptimizerDiffers(Check):
    """Judges two optimizers with equal learning rate, clipping and state."""

    code = "EQ601"
    name = "optimizer-differs"
    title = "The arms follow the same gradients by different rules"
    what = (
        "Compares what the two optimizers make of the same gradients when learning rate, clipping and state are made "
        "equal: another class, or the same with another momentum, decay or averaging."
    )
    why = (
        "Adam, RMSprop and SGD turn the same gradients into steps of other lengths and directions. From the first "
        "steps on the heads take other paths, at other speeds, and often to other accuracies."
    )
    shows = """\
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
bottleneck.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
end_to_end.compile(optimizer=keras.optimizers.SGD(1e-3, momentum=0.9), loss="mean_squared_error")
"""
    clean = """\
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
bottleneck.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
end_to_end.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
"""
    measured = (
        "The live optimizers take three steps on the same gradients of the head, the frozen arm's with the bottleneck "
        "arm's learning rate, clipping and state. Weights or slots that are then further apart than 1e-5 of the "
        "largest are the rule's doing. Settings are read off the live optimizers only to name what differs."
    )
    mistaken_for = (
        "Another learning rate (EQ602), clipping (EQ606) or a used optimizer (EQ608), which are made equal first. "
        "Decay or averaging on a frozen backbone, which does not move. A setting that changes nothing is cleared."
    )
    advice = "Give both arms an optimizer of the same class with the same arguments, made afresh for each compile."
    references = (
        "https://keras.io/api/optimizers/",
        "Kingma and Ba 2015, Adam: A Method for Stochastic Optimization",
    )
    requires = ("EQ503", "EQ504", "EQ704")
    fault = Fault({"frozen.training.optimizer": {"beta_1": 0.5}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding, or cleared settings that make the same steps."""
        update = evidence.update
        if update is None:
            return
        ours, theirs = evidence.bottleneck.optimizer, evidence.frozen.optimizer
        settings = sorted(key for key in (ours.keys() | theirs.keys()) - _ELSEWHERE if ours.get(key) != theirs.get(key))
        same_class = ours.get("name") == theirs.get("name")
        gap = None if update.rules is None else update.rules.rule
        if gap is None or gap.max_rel <= NOISE:
            if same_class and settings and update.equal_steps == update.steps:
                yield self.cleared(
                    f"the optimizers differ in {', '.join(settings)}, and {update.steps} steps on the same gradients "
                    "are equal all the same",
                    steps=update.steps,
                )
            return
        what = (
            f"{ours.get('name')} and {theirs.get('name')}"
            if not same_class
            else f"{ours.get('name')} with other settings ({', '.join(settings[:3])})"
            if settings
            else f"{ours.get('name')}"
        )
        yield self.finding(
            "both",
            f"The arms train with {what}: with equal learning rates three steps on the same gradients change "
            f"{gap.path_frozen} by {gap.norm_ratio:.4g} times as much in the frozen arm as in the bottleneck arm, with "
            f"a cosine of {gap.cosine:.4g}.",
            measured={
                "bottleneck_optimizer": str(ours.get("name")),
                "frozen_optimizer": str(theirs.get("name")),
                **{f"bottleneck_{key}": ours[key] for key in settings if same_class and key in ours},
                **{f"frozen_{key}": theirs[key] for key in settings if same_class and key in theirs},
                "norm_ratio_frozen_to_bottleneck": gap.norm_ratio,
                "cosine": gap.cosine,
                "largest_relative_difference": gap.max_rel,
            },
            expected="equal gradients, learning rates and states give equal steps",
            patch={"frozen.training.optimizer": SameAs("bottleneck")},
            key="training.optimizer",
        )
