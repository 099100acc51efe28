"""EQ606: gradients are clipped to other limits, or over other variables."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs

_LIMITS = ("clipnorm", "global_clipnorm", "clipvalue")


class GradientClippingScopeDiffers(Check):
    """Judges what clipping does to the head's gradients in either arm."""

    code = "EQ606"
    name = "gradient-clipping-scope-differs"
    title = "Gradients are clipped differently in the two arms"
    what = (
        "Finds clipping in one arm only, to another limit, per variable (clipnorm) where the other arm takes all "
        "together (global_clipnorm), or over more variables than the head's."
    )
    why = (
        "A norm that is taken over the backbone's gradients too is larger, so the head's gradients are shortened more. "
        "The head then learns more slowly than on stored features, where there is nothing but the head."
    )
    shows = """\
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
bottleneck.compile(optimizer=keras.optimizers.SGD(0.1, clipnorm=0.01), loss="mean_squared_error")
end_to_end.compile(optimizer=keras.optimizers.SGD(0.1, global_clipnorm=0.01), loss="mean_squared_error")
"""
    clean = """\
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
bottleneck.compile(optimizer=keras.optimizers.SGD(0.1, global_clipnorm=0.01), loss="mean_squared_error")
end_to_end.compile(optimizer=keras.optimizers.SGD(0.1, global_clipnorm=0.01), loss="mean_squared_error")
"""
    measured = (
        "The frozen arm's live optimizer takes three steps on the same gradients of the head: as it clips, as the "
        "bottleneck arm's clips, and with all that its own training step hands it beside the head's gradients. Weights "
        "or slots further apart than 1e-5 of the largest are the clipping's doing."
    )
    mistaken_for = (
        "A limit that no gradient reaches: cleared where three steps are equal. Clipping to one limit over the head "
        "alone in both arms: frozen weights have no gradients. A norm over an unfrozen backbone (EQ501)."
    )
    advice = (
        "Use the same clipnorm, global_clipnorm or clipvalue in both optimizers, and freeze the backbone, so that the "
        "norm is taken over the head alone."
    )
    references = (
        "https://keras.io/api/optimizers/",
        "Pascanu et al. 2013, On the difficulty of training recurrent neural networks (clipping by norm)",
    )
    # The norm over the weights of an unfrozen backbone is that defect's consequence.
    requires = ("EQ501",)
    fault = Fault({"frozen.training.optimizer.clipnorm": 0.001})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding, or a limit cleared that changes nothing."""
        ours, theirs = evidence.bottleneck.optimizer, evidence.frozen.optimizer
        update = evidence.update
        if update is None:
            return
        written = [limit for limit in _LIMITS if ours.get(limit) != theirs.get(limit)]
        rules = update.rules
        limited = rules is not None and rules.clipping.max_rel > NOISE
        scoped = rules is not None and rules.scope.max_rel > NOISE
        if not limited and not scoped:
            if written:
                yield self.cleared(
                    f"the optimizers differ in {', '.join(written)}, but the gradients of {update.samples} samples do "
                    "not reach the limit: the same steps with and without",
                    samples=update.samples,
                )
            return
        assert rules is not None
        gap = rules.clipping if limited else rules.scope
        limits = {
            f"{name}_{limit}": optimizer[limit]
            for name, optimizer in (("bottleneck", ours), ("frozen", theirs))
            for limit in _LIMITS
            if optimizer.get(limit) is not None
        }
        cause = (
            f"clips by {_told(theirs)} where the bottleneck arm clips by {_told(ours)}"
            if limited
            else f"clips by {_told(theirs)} over more than the head's gradients"
        )
        yield self.finding(
            "both" if limited else "frozen",
            f"The frozen arm's optimizer {cause}: on the same gradients {gap.path_frozen} changes by "
            f"{gap.norm_ratio:.4g} times as much as with the bottleneck arm's clipping.",
            measured={
                **limits,
                "norm_ratio_own_to_bottleneck_clipping": gap.norm_ratio,
                "largest_relative_difference": gap.max_rel,
            },
            expected="equal gradients are clipped alike",
            patch={f"frozen.training.optimizer.{limit}": SameAs("bottleneck") for limit in _LIMITS},
            key=f"training.optimizer.{written[0]}" if written else "training.optimizer",
        )


def _told(optimizer: object) -> str:
    assert hasattr(optimizer, "get")
    found = [f"{limit} {optimizer.get(limit):g}" for limit in _LIMITS if optimizer.get(limit) is not None]
    return ", ".join(found) or "nothing"
