"""EQ605: the arms train for a different number of epochs, or one may stop early."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence, PhaseTrace
from equivcheck.findings import ArmName, Cleared, Finding, SameAs


class TrainingLengthDiffers(Check):
    """Judges after how many epochs both trainings end."""

    code = "EQ605"
    name = "training-length-differs"
    title = "The arms train for a different number of epochs"
    what = (
        "Compares how many epochs both fits are asked for, and after how many their callbacks would end the training."
    )
    why = (
        "Final accuracies are compared, but one head was trained longer. Early stopping in one arm ends its curve "
        "where the other's goes on, and with restore_best_weights it ends on other weights than the last."
    )
    shows = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
model.compile(optimizer="sgd", loss="mean_squared_error")
stop = keras.callbacks.EarlyStopping(monitor="loss", patience=1)
model.fit(np.ones((8, 8)), np.ones((8, 2)), epochs=5, callbacks=[stop], verbose=0)  # in one arm only
"""
    clean = """\
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
model.compile(optimizer="sgd", loss="mean_squared_error")
model.fit(np.ones((8, 8)), np.ones((8, 2)), epochs=5, verbose=0)  # in both arms
"""
    measured = (
        "Epochs come from the arguments that fit is given. Copies of the callbacks that can end a training are run "
        "through all epochs, at most 200, against curves that improve, that stand still, and of which one stands "
        "still. Nothing is trained for that."
    )
    mistaken_for = (
        "Another number of steps in an epoch, which follows from the samples (EQ101) or the batch size (EQ604). "
        "Early stopping with more patience than there are epochs, or on a curve that the arm does not have: cleared. "
        "EarlyStopping that was made but not passed to fit."
    )
    advice = "Pass the same epochs, the same initial_epoch and the same stopping callbacks to both fits."
    references = (
        "https://keras.io/api/callbacks/early_stopping/",
        "https://keras.io/api/models/model_training_apis/",
    )
    fault = Fault({"frozen.training.epochs": 3})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding, or cleared callbacks that never end the training."""
        ours, theirs = evidence.bottleneck.training, evidence.frozen.training
        if ours is None or theirs is None:
            return
        if evidence.phase is not None and evidence.phase.only is not None:
            yield self._phase_of_one_arm(evidence.phase, evidence.phase.only, theirs.epochs)
            return
        stops = ours.stops, theirs.stops
        same_stops = None in stops or stops[0] == stops[1] or ours.epochs != theirs.epochs
        if ours.epochs == theirs.epochs and same_stops:
            for name, arm in (("bottleneck", ours), ("frozen", theirs)):
                if arm.stops == {} and arm.callbacks and ours.callbacks != theirs.callbacks:
                    yield self.cleared(
                        f"{', '.join(arm.callbacks)} of the {name} arm never ends the training within {arm.epochs} "
                        "epochs, however the curves go",
                        epochs=arm.epochs,
                    )
            return
        earliest = {
            name: min((*arm.stops.values(), arm.epochs)) if arm.stops else arm.epochs
            for name, arm in (("bottleneck", ours), ("frozen", theirs))
        }
        if ours.epochs != theirs.epochs:
            told = f"The bottleneck arm trains for {ours.epochs} epochs and the frozen arm for {theirs.epochs}."
        else:
            way = _first_way(ours.stops or {}, theirs.stops or {})
            mine, other = ((arm.stops or {}).get(way, arm.epochs) for arm in (ours, theirs))
            told = (
                f"Both arms are asked for {ours.epochs} epochs, but callbacks end them differently: where {way}, the "
                f"bottleneck arm's training ends after epoch {mine} and the frozen arm's after epoch {other}."
            )
        yield self.finding(
            "both",
            told,
            measured={
                "bottleneck_epochs": ours.epochs,
                "frozen_epochs": theirs.epochs,
                "bottleneck_earliest_end": earliest["bottleneck"],
                "frozen_earliest_end": earliest["frozen"],
                "callbacks": ", ".join((*ours.callbacks, *theirs.callbacks)),
            },
            expected="both trainings end after the same number of epochs",
            patch={
                "frozen.training.epochs": SameAs("bottleneck"),
                "frozen.training.early_stopping": SameAs("bottleneck"),
            },
            key="training.epochs" if ours.epochs != theirs.epochs else "training.early_stopping",
        )

    def _phase_of_one_arm(self, phase: PhaseTrace, only: ArmName, epochs: int) -> Finding:
        other: ArmName = "bottleneck" if only == "frozen" else "frozen"
        before = phase.epochs_before
        return self.finding(
            "both",
            f"Phase {phase.name} is in the {only} arm only, which trains on in it for {epochs} epochs; the {other} "
            f"arm's training has ended after {before[other]}. What else is said of this phase was measured as if it "
            "had it.",
            measured={f"{only}_epochs": epochs, f"{other}_epochs": 0},
            expected="both trainings go through the same phases",
            patch={f"{other}.training.phases": SameAs(only)},
            advice="Train the head of the other arm on for as long, with the same optimizer.",
            key=f"training.phases.{phase.name}",
        )


def _first_way(mine: Mapping[str, int], other: Mapping[str, int]) -> str:
    return next(way for way in {**mine, **other} if mine.get(way) != other.get(way))
