"""EQ504: a training step leaves the head as it was."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import ArmEvidence, Evidence
from equivcheck.findings import ArmName, Cleared, Finding, Patch, SameAs


class HeadNotTrained(Check):
    """Judges heads of which one training step moved nothing."""

    code = "EQ504"
    name = "head-not-trained"
    title = "A training step does not change the head"
    what = "Finds an arm whose head keeps every weight as it was drawn when `fit` takes a step."
    why = (
        "An arm whose head does not learn keeps the accuracy of its random start, while the other arm's rises. "
        "Usually the freezing took the head along: `model.trainable = False` on the whole model, or a slice of layers "
        "that reaches to the end."
    )
    shows = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
model = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(2)])
model.trainable = False
"""
    clean = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
base.trainable = False
model = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(2)])
"""
    measured = (
        "All variables are compared before and after one real step of `fit`. A head is reported when none of its "
        "weights changed and they are not trainable, or the learning rate is 0."
    )
    mistaken_for = (
        "A schedule whose first learning rate is 0, and a loss scale that skips its first step. A head of which a part "
        "is frozen (EQ502). A head without weights."
    )
    advice = (
        "Freeze the backbone only: `base.trainable = False` on the backbone itself, not on the model that also holds "
        "the head; and give the optimizer a learning rate above 0."
    )
    references = (
        "https://keras.io/guides/transfer_learning/",
        "https://keras.io/api/layers/base_layer/#trainable-property",
    )
    # A model that was fitted before may not know today's flags.
    requires = ("EQ503",)
    fault = Fault({"frozen.backbone.freeze": {"layers": ":"}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding: for one arm an error, for both a warning."""
        still = [name for name, arm in evidence.arms() if _stands_still(arm)]
        if not still:
            return
        arm = next(arm for name, arm in evidence.arms() if name == still[0])
        head = [v for v in arm.variables if v.region == "head" and not v.statistic]
        frozen = sum(not v.trainable for v in head)
        reason = f"{frozen} of them are not trainable" if frozen else "the learning rate is 0"
        yield self.finding(
            still[0] if len(still) == 1 else "both",
            f"One training step of {' and '.join(f'the {name} arm' for name in still)} moved none of the "
            f"{len(head)} weight tensors of the head: {reason}. It stays at the accuracy of its random start.",
            measured={
                "head_weight_tensors": len(head),
                "moved_head_weight_tensors": 0,
                "head_weight_tensors_not_trainable": frozen,
            },
            expected="a training step moves the head",
            severity="error" if len(still) == 1 else "warning",
            patch=_patch(still, frozen=frozen),
            key="backbone.freeze" if frozen else "training.optimizer",
            layer=head[0].layer,
        )


def _stands_still(arm: ArmEvidence) -> bool:
    head = [v for v in arm.variables if v.region == "head" and not v.statistic]
    if not arm.stepped or not head or any(v.change != 0 for v in head):
        return False
    # Trainable weights may also wait for a schedule to rise from 0.
    return not any(v.trainable for v in head) or arm.optimizer.get("learning_rate") == 0


def _patch(still: list[ArmName], *, frozen: int) -> Patch | None:
    if len(still) > 1:
        return None
    if frozen:
        return {"frozen.backbone.freeze": True}
    other: ArmName = "bottleneck" if still[0] == "frozen" else "frozen"
    return {f"{still[0]}.training.optimizer": SameAs(other)}
