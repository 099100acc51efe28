"""How long a training will take, from the pace of one real step, and the time that trainings may take."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, field

from equivcheck.arms.arm import Arm
from equivcheck.evidence import OrderTrace
from equivcheck.replay.eligible import build, obstacle
from equivcheck.replay.rehearse import Rehearsals, pace_before_cut, runs_again
from equivcheck.replay.training import Progress
from equivcheck.trace.observed import Observed
from equivcheck.trace.state import undisturbed
from equivcheck.trace.step import fit_one_step


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


def expected_seconds(observed: Observed, rehearsals: Rehearsals, *, exactly: bool = True) -> float:
    """How long the training of a measured arm takes, at the pace of a step of ``fit``, or of what stands for it.

    Validation counts at the pace of training, sample by sample. Where the network is cut, and what lies before the cut
    is run once, that one epoch is all that is known beforehand; the rest shows when it runs, and so do later phases.

    Args:
        observed: The arm; every variable of it is as it was afterwards.
        rehearsals: Where its cut is kept for the training.
        exactly: Take two more steps and believe the faster: the first may be traced, or come at a busy moment; where
            the network is cut, of what lies before the cut. Else the pace is that of the step that was measured, which
            is never too fast.

    Returns:
        Seconds; 0 where a step cannot be taken without taking something from the user's own data set.
    """
    arm = observed.arm
    if arm.made_by is not None and not arm.begins_anew:
        return 0.0
    sizes = _sizes(observed.train.order)
    samples = sum(sizes) + (0 if observed.validation is None else sum(_sizes(observed.validation.order)))
    epochs = int(arm.fit.get("epochs", 1)) if _runs_again(arm, rehearsals) else 1
    return samples / max(1, sizes[0]) * epochs * (_pace(arm, rehearsals) if exactly else observed.step.seconds)


def _pace(arm: Arm, rehearsals: Rehearsals) -> float:
    """Seconds of a step."""
    if obstacle(arm) is None:
        with suppress(Exception):  # the training itself meets it again, and says it or trains by fit
            build(arm)
            if (before := pace_before_cut(arm, rehearsals)) is not None:
                return before
    try:
        with undisturbed(arm.model):
            return min(fit_one_step(arm) for _ in range(2))
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
