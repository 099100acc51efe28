"""What an advice would have changed: the declared experiment against the one in which the advice is followed.

That is a game with one player, the advice not followed; so everything that counterfactuals of causes have serves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from equivcheck.measured import WhatIf
from equivcheck.replay.attribution import METRICS, Replays, certainty, grain
from equivcheck.replay.game import Coalition, interval
from equivcheck.spec import Advice

#: The only player: the spec as it was before the advice.
DECLARED = "declared"
_DECLARED, _FOLLOWED = frozenset({DECLARED}), frozenset[str]()


@dataclass
class Trial:
    """One advice, and what was trained to see its effect.

    Attributes:
        advice: As the spec says it.
        replays: Counterfactuals of the one player.
        gone: Codes of errors that it makes go away.
        new: Codes of errors that it brings.
        missing: What could not be tried, and why; empty where nothing is missing.
    """

    advice: Advice
    replays: Replays
    gone: Sequence[str] = ()
    new: Sequence[str] = ()
    missing: str = ""

    def gaps(self, metric: str) -> list[tuple[float, float]]:
        """The gap as declared and the one then, in each repetition that has both."""
        numbers = sorted({number for _, number in self.replays.curves})
        pairs = [
            (self.replays.gap(metric, number, _DECLARED), self.replays.gap(metric, number, _FOLLOWED))
            for number in numbers
            if self.replays.known(_DECLARED, number) and self.replays.known(_FOLLOWED, number)
        ]
        return [pair for pair in pairs if np.isfinite(pair).all()]

    def finals(self, arm: str, metric: str, state: Coalition = _FOLLOWED) -> float | None:
        """Mean of the last values of one arm, where the advice is followed or not."""
        found = [
            curve.values[-1]
            for (present, _), curves in self.replays.curves.items()
            if present == state
            for curve in curves
            if (curve.arm, curve.metric) == (arm, metric)
        ]
        return float(np.mean(found)) if found else None


def metric_of(trials: Sequence[Trial]) -> str:
    """The curve to tell effects in, where no attribution chose one: that of the gap which is surest."""

    def surest(metric: str) -> float:
        found = [[declared for declared, _ in trial.gaps(metric)] for trial in trials]
        return max((certainty(metric, gaps, trials[0].replays.samples) for gaps in found if gaps), default=-1.0)

    return max(METRICS, key=surest)


def effect_of(trial: Trial, metric: str) -> WhatIf:
    """What came of one advice."""
    pairs = trial.gaps(metric)
    closed = [abs(declared) - abs(followed) for declared, followed in pairs]
    mean = float(np.mean(closed)) if closed else None
    ends, samples = interval(closed), trial.replays.samples
    return WhatIf(
        advice=trial.advice.advice,
        source=trial.advice.source or "",
        patch=trial.advice.patch,
        metric=metric,
        gap=float(np.mean([declared for declared, _ in pairs])) if pairs else None,
        gap_then=float(np.mean([followed for _, followed in pairs])) if pairs else None,
        bottleneck=trial.finals("bottleneck", metric),
        frozen=trial.finals("frozen", metric),
        frozen_declared=trial.finals("frozen", metric, _DECLARED),
        closed=mean,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        effect="unknown" if mean is None else _effect(mean, ends, grain(metric, samples, abs(pairs[0][0]))),
        gone=list(trial.gone),
        new=list(trial.new),
        repetitions=len(pairs),
        missing=trial.missing or ("" if pairs else "no training of it ended with numbers"),
    )


def _effect(mean: float, ends: tuple[float, float] | None, smallest: float) -> Literal["helps", "none", "worse"]:
    beyond_chance = ends is None or not ends[0] <= 0 <= ends[1]
    if abs(mean) <= smallest or not beyond_chance:
        return "none"
    return "helps" if mean > 0 else "worse"
