"""EQ608: one arm's optimizer starts with the state of earlier steps, the other's afresh."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import ArmName, Cleared, Finding


class OptimizerStateReset(Check):
    """Judges how many steps each optimizer has taken before fit begins."""

    code = "EQ608"
    name = "optimizer-state-reset"
    title = "One arm's optimizer starts with the state of an earlier training"
    what = (
        "Compares how many steps the two optimizers have taken before fit begins: one goes on from an earlier training "
        "or an earlier fold, the other was made, or reset by a compile, afresh."
    )
    why = (
        "Momenta and averages of earlier gradients steer the first steps, and a schedule of the learning rate goes on "
        "where it was. Adam's first steps are full steps with a fresh state and small ones with a used state."
    )
    shows = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
model.compile(optimizer="adam", loss="mean_squared_error")
first = model.get_weights()
for fold in range(2):
    model.set_weights(first)  # the weights start again, the optimizer does not
    model.fit(np.ones((8, 8)), np.ones((8, 2)), verbose=0)
"""
    clean = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
model.compile(optimizer="adam", loss="mean_squared_error")
first = model.get_weights()
for fold in range(2):
    model.set_weights(first)
    model.compile(optimizer="adam", loss="mean_squared_error")
    model.fit(np.ones((8, 8)), np.ones((8, 2)), verbose=0)
"""
    measured = (
        "The step counters of the live optimizers are read as the arms come, before any step is taken. That the state "
        "is a used one also shows in the first step on equal gradients."
    )
    mistaken_for = "Two arms that both go on from as many steps. An optimizer that was built but has taken no step."
    advice = (
        "Compile with a new optimizer before each training that starts from fresh weights: "
        'model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=..., metrics=["accuracy"]).'
    )
    references = (
        "https://keras.io/api/models/model_training_apis/#compile-method",
        "https://keras.io/guides/transfer_learning/",
    )
    requires = ("EQ503",)
    fault = Fault({"frozen.callable": "resumed_arm:frozen_arm"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding for the arm that has taken steps already."""
        ours, theirs = evidence.bottleneck.training, evidence.frozen.training
        if ours is None or theirs is None:
            return
        phase = evidence.phase
        if ours.iterations == theirs.iterations:
            if phase is not None and phase.number > 1 and phase.recompiled["frozen"]:
                rule = evidence.frozen.optimizer.get("name")
                yield self.cleared(
                    f"Phase {phase.name} compiles both arms again: {rule} begins at step {theirs.iterations} in both, "
                    "and the averages of the phases before are gone in both alike",
                    bottleneck_steps_before=phase.steps_before["bottleneck"],
                    frozen_steps_before=phase.steps_before["frozen"],
                )
            return
        name: ArmName = "bottleneck" if ours.iterations > theirs.iterations else "frozen"
        update = evidence.update
        ratio = update.updates[0].norm_ratio if update is not None and update.equal_steps == 0 else None
        when = "" if phase is None else f" in phase {phase.name}"
        yield self.finding(
            name,
            f"Before fit begins{when}, the bottleneck arm's optimizer has taken {ours.iterations} steps and the frozen "
            f"arm's {theirs.iterations}: the {name} arm goes on with the state of an earlier training.",
            measured={
                "bottleneck_steps_taken": ours.iterations,
                "frozen_steps_taken": theirs.iterations,
                **({} if ratio is None else {"first_update_norm_ratio_frozen_to_bottleneck": ratio}),
            },
            expected="both optimizers start afresh",
            patch=None if phase is None else {f"{name}.training.phases.{phase.name}.recompile": True},
            key="callable" if phase is None else "training.recompile",
        )
