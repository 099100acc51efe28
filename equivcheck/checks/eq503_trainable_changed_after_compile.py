"""EQ503: ``trainable`` was changed when ``fit`` had already been traced, and the step does not know."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import ArmEvidence, Evidence, VariableTrace
from equivcheck.findings import Cleared, Finding


class TrainableChangedAfterCompile(Check):
    """Judges what a step of a model that was fitted before moves, against its ``trainable`` flags of now."""

    code = "EQ503"
    name = "trainable-changed-after-compile"
    title = "trainable was changed without compiling again, and fit does not follow"
    what = (
        "Finds models whose training step updates other variables than their `trainable` flags say, because the step "
        "was traced by an earlier `fit` and the model was not compiled since."
    )
    why = (
        "Keras fixes the set of trained variables, and the mode of BatchNormalization, when the first `fit` traces its "
        "step. A layer that is frozen later goes on training, and one that is unfrozen later never starts, without a "
        "word. So the frozen arm trains something else than its summary shows."
    )
    shows = """\
x, y = np.zeros((8, 8), "float32"), np.zeros((8, 2), "float32")
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
model = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(2)])
model.compile(loss="mean_squared_error")
model.fit(x, y, verbose=0)
base.trainable = False  # too late: the next fit trains the base all the same
"""
    clean = """\
x, y = np.zeros((8, 8), "float32"), np.zeros((8, 2), "float32")
base = keras.Sequential([keras.Input((8,)), keras.layers.Dense(16)])
model = keras.Sequential([keras.Input((8,)), base, keras.layers.Dense(2)])
model.compile(loss="mean_squared_error")
model.fit(x, y, verbose=0)
base.trainable = False
model.compile(loss="mean_squared_error")
"""
    measured = (
        "All variables are compared before and after one real step of `fit` by a model that has been fitted before. "
        "Those that moved although they are not trainable, and those that did not although a step taken outside of "
        "the traced function gives them a gradient, are listed."
    )
    mistaken_for = (
        "A flag changed between `compile` and the first `fit`: Keras 3 still follows that one. Weights whose gradient "
        "is zero. A learning rate of 0."
    )
    advice = (
        "Call `model.compile(...)` again after every change of `trainable`, before the next `fit`. Keras' own guide "
        "says so, but Keras 3 gives no warning."
    )
    references = (
        "https://keras.io/guides/transfer_learning/",
        "https://github.com/keras-team/keras/issues/13404",
        "https://github.com/tensorflow/tensorflow/issues/22012",
    )
    fault = Fault(
        {"frozen.callable": "networks:frozen_too_late"},
        start={"bottleneck": {"callable": "networks:stored"}, "frozen": {"callable": "networks:frozen"}},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding an arm."""
        for name, arm in evidence.arms():
            moved, stuck = _against_the_flags(arm)
            if not moved and not stuck:
                continue
            phase = evidence.phase
            late = phase is not None and not phase.recompiled.get(name, True)
            # What a phase unfreezes is meant to be trained.
            meant = {"head", "backbone"} if phase is not None and phase.unfrozen_in else {"head"}
            harm = any(v.region == "backbone" for v in moved) or any(v.region in meant for v in stuck)
            parts = [f"moved {len(moved)} variables that are not trainable, first {moved[0].path}"] if moved else []
            parts += [f"left {len(stuck)} trainable ones as they were, first {stuck[0].path}"] if stuck else []
            yield self.finding(
                name,
                f"The {name} arm's model had been fitted before, and a training step {' and '.join(parts)}: `fit` runs "
                "the step that was traced then, with the flags of then.",
                measured={
                    "moved_although_not_trainable": len(moved),
                    "moved_scalars_although_not_trainable": sum(v.size for v in moved),
                    "trainable_but_not_moved": len(stuck),
                },
                expected="a training step moves the trainable variables and nothing else",
                severity="error" if harm else "warning",
                patch={f"{name}.training.phases.{phase.name}.recompile": True} if late and phase is not None else None,
                key="training.recompile" if late else "callable",
                layer=(moved or stuck)[0].layer,
            )


def _against_the_flags(arm: ArmEvidence) -> tuple[list[VariableTrace], list[VariableTrace]]:
    """Weights that moved although not trainable, and such as did not although a new step would move them."""
    if not arm.fitted_before or all(v.change == 0 for v in arm.variables):
        return [], []
    weights = [v for v in arm.variables if not v.statistic]
    moved = [v for v in weights if v.change != 0 and not v.trainable]
    stuck = [v for v in weights if v.change == 0 and v.trainable and v.wanted]
    return moved, stuck
