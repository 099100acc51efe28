"""EQ602: the arms' learning rates differ, at the start or in the course of the training."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from equivcheck.check import Check, Fault
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence, TrainingTrace
from equivcheck.findings import Cleared, Finding, SameAs

#: Learning rates are kept in float32.
EQUAL = 1e-6


class LearningRateDiffers(Check):
    """Judges how fast both optimizers go, now and later."""

    code = "EQ602"
    name = "learning-rate-differs"
    title = "The arms train with different learning rates"
    what = (
        "Compares the learning rates of the two live optimizers at the start and, with their schedules and callbacks, "
        "in every epoch."
    )
    why = (
        "A rate ten times as large gets as far in one epoch as the other arm in ten, or jumps over the minimum. A "
        "schedule or a callback in one arm parts the curves only when it sets in."
    )
    shows = """\
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
bottleneck.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
end_to_end.compile(optimizer=keras.optimizers.Adam(1e-5), loss="mean_squared_error")
"""
    clean = """\
bottleneck = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
bottleneck.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
end_to_end.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
"""
    measured = (
        "The frozen arm's live optimizer takes three steps with its own learning rate and three with the bottleneck "
        "arm's, from the same state on the same gradients. For later epochs, copies of the callbacks that can change "
        "the rate are run through all epochs on an optimizer that stands in for the real one, once on curves that "
        "improve and once on curves that stand still."
    )
    mistaken_for = (
        "Optimizers of different classes, whose rates mean different things (EQ601). A schedule that starts later than "
        "the training ends."
    )
    advice = "Give both optimizers the same learning rate, and both fits the same schedule and callbacks."
    references = (
        "https://keras.io/api/optimizers/",
        "https://keras.io/api/callbacks/learning_rate_scheduler/",
        "https://keras.io/api/callbacks/reduce_lr_on_plateau/",
    )
    requires = ("EQ503", "EQ504")
    fault = Fault({"frozen.training.optimizer.learning_rate": 0.04})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding: the rates from the start on, else where they part."""
        ours, theirs = evidence.bottleneck.training, evidence.frozen.training
        if ours is None or theirs is None:
            return
        if evidence.bottleneck.optimizer.get("name") != evidence.frozen.optimizer.get("name"):
            return
        update = evidence.update
        moved = update.rules.rate if update is not None and update.rules is not None else None
        parted = _parted(ours, theirs)
        if parted is None and (moved is None or moved.max_rel <= NOISE):
            return
        epoch, mine, other, when = parted or (1, *_starting(ours, theirs), "")
        steps_show = moved is not None and moved.max_rel > NOISE
        changing = [*ours.callbacks, *theirs.callbacks]
        yield self.finding(
            "both",
            f"{'From epoch' if epoch > 1 else 'In epoch'} {epoch}{' on' if epoch > 1 else ''} the learning rate is "
            f"{mine:.4g} in the bottleneck arm and {other:.4g} in the frozen arm{when}"
            + (
                f"; on the same gradients that makes the frozen arm's steps {moved.norm_ratio:.4g} times as long."
                if moved is not None and steps_show
                else "."
            ),
            measured={
                "bottleneck_learning_rate": mine,
                "frozen_learning_rate": other,
                "epoch": epoch,
                **({"step_length_ratio": moved.norm_ratio} if moved is not None and steps_show else {}),
                **({"callbacks": ", ".join(changing)} if changing else {}),
            },
            expected="equal learning rates in every epoch",
            patch={"frozen.training.optimizer.learning_rate": SameAs("bottleneck")},
            key="training.optimizer.learning_rate",
        )


def _starting(ours: TrainingTrace, theirs: TrainingTrace) -> tuple[float, float]:
    rates = [each.rates for each in (ours, theirs)]
    return tuple(float("nan") if rate is None or not len(rate) else float(rate[0]) for rate in rates)  # type: ignore[return-value]


def _parted(ours: TrainingTrace, theirs: TrainingTrace) -> tuple[int, float, float, str] | None:
    """Epoch from 1 in which the rates first differ, both rates there, and on which curves."""
    for mine, other, when in (
        (ours.rates, theirs.rates, ""),
        (ours.rates_stalled, theirs.rates_stalled, " where the curves stand still"),
    ):
        if mine is None or other is None:
            continue
        place = _first_difference(mine, other)
        if place is not None:
            return place // 2 + 1, float(mine[place]), float(other[place]), when
    return None


def _first_difference(mine: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> int | None:
    both = min(len(mine), len(other))
    apart = np.flatnonzero(np.abs(mine[:both] - other[:both]) > EQUAL * np.abs(mine[:both]))
    return int(apart[0]) if len(apart) else None
