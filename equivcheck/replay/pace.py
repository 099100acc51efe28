"""How long a training will take, from the pace of one real step, and the time that trainings may take."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import keras

from equivcheck.arms.arm import Arm
from equivcheck.evidence import OrderTrace
from equivcheck.replay.eligible import build, obstacle
from equivcheck.replay.rehearse import Rehearsals, runs_again
from equivcheck.replay.training import Progress
from equivcheck.trace.observed import Observed
from equivcheck.trace.state import undisturbed


class OverBudgetError(BaseException):
    """Ends a training that would take longer than is left; no ``Exception``, after which ``fit`` would be tried.

    Attributes:
        seconds: What the whole training would have taken.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


@dataclass(slots=True)
class Deadline:
    """The time from which on nothing further is begun: when it is spent, or the user interrupts.

    Attributes:
        at: On the monotonic clock.
        interrupted: Whether the user did.
    """

    at: float
    interrupted: bool = False

    def passed(self) -> bool:
        """Whether it is over."""
        return self.interrupted or time.monotonic() > self.at


@dataclass(frozen=True, slots=True)
class Allowance:
    """The time that trainings may take.

    Attributes:
        seconds: All of it.
        begun: When it began to run, on the monotonic clock.
    """

    seconds: float
    begun: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.begun + self.seconds - time.monotonic()

    def deadline(self) -> Deadline:
        """When all of it is spent."""
        return Deadline(self.begun + self.seconds)

    def guarded(self, progress: Progress) -> Progress:
        """Progress that ends a training, at the end of an epoch, which would take longer than is left.

        The pace is that of the epochs behind the first one, in which graphs are compiled.

        Raises:
            OverBudgetError: When it is told of such an epoch.
        """
        begun = first = time.monotonic()
        before = at_first = 0

        def told(done: int, total: int) -> None:
            nonlocal first, before, at_first
            progress(done, total)
            now = time.monotonic()
            if before == 0 or done <= before:  # the first epoch, of this phase or of a later one
                first, at_first = now, done
            before = done
            if done > at_first:
                pace = (now - first) / (done - at_first)
            elif self.left < 0:
                pace = (now - begun) / done
            else:
                return
            further = pace * (total - done)
            if done < total and further > self.left:
                raise OverBudgetError(now - begun + further)

        return told


#: For whoever has the time.
UNLIMITED = Allowance(math.inf)


def expected_seconds(observed: Observed, rehearsals: Rehearsals, allowed: float = math.inf) -> float:
    """How long the training of a measured arm takes, at the pace of a step of ``fit`` that is traced already.

    Validation counts at the pace of training, sample by sample. Where the network is cut, and what lies before the cut
    is run once, that one epoch is all that is known beforehand; the rest shows when it runs, and so do later phases.

    Args:
        observed: The arm; every variable of it is as it was afterwards.
        rehearsals: Where its cut is kept for the training.
        allowed: Seconds that it may take. A step that is too slow for that is taken once more: the first may have been
            traced anew, or come at a busy moment.

    Returns:
        Seconds; 0 where a step cannot be taken without taking something from the user's own data set.
    """
    arm = observed.arm
    if arm.made_by is not None and not arm.begins_anew:
        return 0.0
    sizes = _sizes(observed.train.order)
    samples = sum(sizes) + (0 if observed.validation is None else sum(_sizes(observed.validation.order)))
    epochs = int(arm.fit.get("epochs", 1)) if _runs_again(arm, rehearsals) else 1
    steps = samples / max(1, sizes[0]) * epochs
    try:
        of_one = _seconds_of_step(arm)
        return steps * (of_one if steps * of_one <= allowed else min(of_one, _seconds_of_step(arm)))
    except Exception:  # noqa: BLE001  (what stops a second step stops the training too, which says whose it is)
        return 0.0


def _sizes(order: OrderTrace) -> tuple[int, ...]:
    return tuple(order.batches[0])


def _runs_again(arm: Arm, rehearsals: Rehearsals) -> bool:
    """Whether the whole network runs in every epoch."""
    if obstacle(arm) is not None:
        return True
    build(arm)
    try:
        with undisturbed(arm.model):
            return runs_again(arm, rehearsals)
    except Exception:  # noqa: BLE001  (the training itself meets it again, and says it or trains by fit)
        return True


def _seconds_of_step(arm: Arm) -> float:
    """One more step through the train function that ``trace.step.take_step`` made Keras trace."""
    clock = _Clock()
    fit = {name: value for name, value in arm.fit.items() if name not in {"epochs", "callbacks", "validation_split"}}
    fit |= {"steps_per_epoch": 1, "epochs": 1, "initial_epoch": 0, "verbose": 0, "callbacks": [clock]}
    feed = arm.train.feed
    with undisturbed(arm.model):
        arm.model.fit(feed.x, feed.y, sample_weight=feed.sample_weight, **fit)
    return clock.took


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is not typed
    """Times the last batch."""

    def __init__(self) -> None:
        super().__init__()
        self.took = self._start = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self._start = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        del batch, logs
        self.took = time.perf_counter() - self._start
