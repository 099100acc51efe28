"""EQ509: both arms hold the same variables, and training one of them moves the other."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding


class BackboneSharedBetweenArms(Check):
    """Judges variables that are one object in both arms."""

    code = "EQ509"
    name = "backbone-shared-between-arms"
    title = "The arms share weights, and training one arm changes the other"
    what = (
        "Finds variables that the models of both arms hold as one and the same object, a backbone or a head built once "
        "and used twice, and that a training step of one arm moves."
    )
    why = (
        "The arm that trains second then starts where the first one ended, and the one that trained first is no longer "
        "what its curve says. Their order of training, not their settings, makes the difference."
    )
    shows = """\
classifier = keras.layers.Dense(2)
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
base.trainable = False
head = keras.Sequential([keras.Input((16,)), classifier])
end_to_end = keras.Sequential([keras.Input((8,)), base, classifier])
"""
    clean = """\
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
base.trainable = False
head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(2)])
end_to_end.layers[-1].set_weights(head.layers[-1].get_weights())
"""
    measured = (
        "The variables of the live models are compared by identity, and each arm takes one real step of `fit`. Shared "
        "variables that a step moves are reported; those that no step moves are cleared."
    )
    mistaken_for = (
        "One frozen backbone object used for extraction and in the frozen arm: nothing moves it, so it is cleared. "
        "Copies with equal values."
    )
    advice = "Build backbone and head afresh for each arm, or copy: `keras.models.clone_model(base)` and `set_weights`."
    references = (
        "https://keras.io/api/models/model_saving_apis/model_saving_and_loading/#clonemodel-function",
        "https://keras.io/guides/functional_api/#shared-layers",
    )
    # A backbone that trains moves whoever shares it.
    requires = ("EQ403", "EQ501", "EQ503")
    fault = Fault(
        {"bottleneck.callable": "networks:stored_shared", "frozen.callable": "networks:frozen_shared"},
        start={"bottleneck": {"callable": "networks:stored"}, "frozen": {"callable": "networks:frozen"}},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """A finding where a step moves what is shared, else sharing is cleared."""
        shared = evidence.shared
        if not shared.variables:
            return
        moved = dict.fromkeys((*shared.moved_by_bottleneck, *shared.moved_by_frozen))
        if not moved:
            yield self.cleared(
                f"both arms hold the same {len(shared.variables)} variables, and a training step of neither moves them",
                shared_variables=len(shared.variables),
            )
            return
        yield self.finding(
            "both",
            f"{len(shared.variables)} variables are the same object in both arms. A training step of the bottleneck "
            f"arm moved {len(shared.moved_by_bottleneck)} of them, one of the frozen arm "
            f"{len(shared.moved_by_frozen)}, first {next(iter(moved))}: whichever arm trains second starts from what "
            "the first one left.",
            measured={
                "shared_variables": len(shared.variables),
                "moved_by_a_step_of_the_bottleneck_arm": len(shared.moved_by_bottleneck),
                "moved_by_a_step_of_the_frozen_arm": len(shared.moved_by_frozen),
            },
            expected="training one arm leaves the other as it was",
            key="callable",
            layer=next(iter(moved)).rpartition("/")[0],
        )
