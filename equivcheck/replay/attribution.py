"""How much of the gap each cause makes: trains counterfactuals as far as time allows, then divides the gap.

A counterfactual is both arms with some causes repaired, trained for the declared epochs. Everything is repeated with
other seeds, which gives another head, another dropout and another order, so that a share has an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from equivcheck.measured import Attribution, Curve, CurveShares, Interaction, Share
from equivcheck.replay.game import (
    Coalition,
    Value,
    coalitions,
    from_screens,
    interactions,
    interval,
    mean_of,
    sampled,
    shapley,
    smallest_repair,
)

#: Curves that are divided, the one that people look at first.
METRICS = ("val_accuracy", "accuracy", "val_loss", "loss")

#: Causes up to which every coalition is replayed: 64 at most.
EXACT = 6
#: Random orders beyond that; each also backwards.
ORDERS = 4

#: Standard errors from which on a gap is certain either way, so that more of them say no more for a curve.
CERTAIN = 10.0

#: What is said first of what was left out: because time was over, or because the user interrupted.
SPENT, INTERRUPTED = "the budget was spent", "interrupted"

#: Causes present, and the number of the repetition -> the curves of both arms then.
Train = Callable[[Coalition, int], Sequence[Curve]]


@dataclass
class Replays:
    """The curves of counterfactuals, each trained once.

    Attributes:
        causes: Codes of the causes.
        train: Trains a counterfactual.
        samples: Samples that each metric is taken over: the grain of an accuracy.
        begin: Begins what ``train`` is soon asked for.
        ahead: How many may be begun before the first of them is asked for.
        curves: What was trained so far, by coalition and repetition.
        begun: What was begun so far.
    """

    causes: tuple[str, ...]
    train: Train
    samples: Mapping[str, int]
    begin: Callable[[Coalition, int], None] = lambda _present, _repetition: None
    ahead: int = 1
    curves: dict[tuple[Coalition, int], tuple[Curve, ...]] = field(default_factory=dict)
    begun: set[tuple[Coalition, int]] = field(default_factory=set)

    def prepare(self, present: Coalition, repetition: int) -> None:
        """Begins one counterfactual, where that was not done before."""
        if (present, repetition) not in self.begun and not self.known(present, repetition):
            self.begin(present, repetition)
            self.begun.add((present, repetition))

    def replay(self, present: Coalition, repetition: int) -> tuple[Curve, ...]:
        """The curves of one counterfactual."""
        key = present, repetition
        if key not in self.curves:
            self.curves[key] = tuple(self.train(present, repetition))
        return self.curves[key]

    def known(self, present: Coalition, repetition: int) -> bool:
        """Whether it was trained."""
        return (present, repetition) in self.curves

    def gap(self, metric: str, repetition: int, present: Coalition) -> float:
        """Frozen minus bottleneck at the end, in percentage points for accuracies; NaN where a curve is missing.

        Raises:
            KeyError: It was not trained.
        """
        final = {curve.arm: curve.values[-1] for curve in self.curves[present, repetition] if curve.metric == metric}
        scale = 100.0 if metric.endswith("accuracy") else 1.0
        return scale * (final.get("frozen", np.nan) - final.get("bottleneck", np.nan))


#: One training of both arms that is wanted: whose, with which causes present, and which repetition.
Wanted = tuple[Replays, Coalition, int]


def wanted(replays: Replays, *repetitions: int) -> list[Wanted]:
    """What is trained in some repetitions, which differ in their seeds; of each that first which says most."""
    return [(replays, present, repetition) for repetition in repetitions for present in _wanted(replays, repetition)]


def prepare(jobs: Sequence[Wanted]) -> None:
    """Begins what is wanted, where that was not done before."""
    for replays, present, repetition in jobs:
        replays.prepare(present, repetition)


def train_all(jobs: Sequence[Wanted], out_of_time: Callable[[], bool], *, spent: str = SPENT) -> str:
    """Trains what is wanted, one after the other, while the next ones are begun already.

    Args:
        jobs: What is wanted; what was trained before is not trained again.
        out_of_time: Asked before each training; the first one is trained whatever it says.
        spent: What it means when that says yes.

    Returns:
        What is missing, in words; empty where nothing is.
    """
    for done, (replays, present, repetition) in enumerate(jobs):
        if done and out_of_time():
            return f"{spent} after {done} of {len(jobs)} replays"
        try:
            prepare(jobs[done : done + replays.ahead])
            replays.replay(present, repetition)
        except KeyboardInterrupt:
            return f"{INTERRUPTED} after {done} of {len(jobs)} replays"
    return ""


def attribution(replays: Replays, missing: str) -> Attribution | None:
    """Divides the gap.

    Args:
        replays: What was trained.
        missing: What ``train_all`` returned.

    Returns:
        None where not even the screens of one repetition are complete, or training reached NaN in them.
    """
    found = {metric: each for metric in METRICS if (each := _divided(replays, metric)) is not None}
    if not found:
        return None
    metric = max(found, key=lambda name: found[name].certainty)  # the first of several that are as certain
    return _told(replays, metric, found, missing)


@dataclass(frozen=True, slots=True)
class _Divided:
    """One curve's gap, divided in each repetition that is complete enough.

    Attributes:
        repetitions: Their numbers.
        gaps: The gap in each.
        shares: By code, in each.
        residuals: What is left with every cause repaired, in each.
        certainty: The mean gap in standard errors, at most ``CERTAIN``.
    """

    repetitions: tuple[int, ...]
    gaps: tuple[float, ...]
    shares: tuple[Mapping[str, float], ...]
    residuals: tuple[float, ...]
    certainty: float


def _wanted(replays: Replays, repetition: int) -> list[Coalition]:
    """The coalitions of one repetition in the order in which they are replayed."""
    causes = replays.causes
    if len(causes) <= EXACT:
        return list(coalitions(causes))
    asked: dict[Coalition, None] = dict.fromkeys(_screens(causes))

    def note(some: Coalition) -> float:
        asked[some] = None
        return 0.0

    sampled(causes, note, ORDERS, seed=repetition)
    return list(asked)


def _screens(causes: Sequence[str]) -> list[Coalition]:
    everyone = frozenset(causes)
    ends = [everyone, frozenset[str]()]
    return [*ends, *(everyone - {one} for one in causes), *(frozenset({one}) for one in causes)]


def _divided(replays: Replays, metric: str) -> _Divided | None:
    everyone = frozenset(replays.causes)
    rows = []
    for repetition in sorted({number for _, number in replays.curves}):
        if not all(replays.known(some, repetition) for some in _screens(replays.causes)):
            continue
        value = partial(replays.gap, metric, repetition)
        shares, complete = _shares(replays, value, repetition)
        gap, left = value(everyone), value(frozenset())
        if np.isfinite([gap, left, *shares.values()]).all():
            # What the screens leave over is no cause's own: it stays in the residual. Else that is what is left when
            # all is repaired, and not the rounding of a sum.
            rows.append((repetition, gap, shares, left if complete else gap - sum(shares.values())))
    if not rows:
        return None
    numbers, gaps, shares_of, left_of = zip(*rows, strict=True)
    return _Divided(numbers, gaps, shares_of, left_of, certainty(metric, gaps, replays.samples))


def _shares(replays: Replays, value: Value, repetition: int) -> tuple[dict[str, float], bool]:
    """The shares of one repetition, and whether they add up to all that the causes make."""
    if not all(replays.known(some, repetition) for some in _wanted(replays, repetition)):
        return from_screens(replays.causes, value), False
    exact = len(replays.causes) <= EXACT
    return shapley(replays.causes, value) if exact else sampled(replays.causes, value, ORDERS, seed=repetition), True


def certainty(metric: str, gaps: Sequence[float], samples: Mapping[str, int]) -> float:
    """The mean gap in standard errors, at most ``CERTAIN``."""
    mean = abs(float(np.mean(gaps)))
    if mean == 0:
        return 0.0
    spread = float(np.std(gaps, ddof=1)) / np.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    return min(CERTAIN, mean / max(spread, grain(metric, samples, mean)))


def grain(metric: str, samples: Mapping[str, int], size: float) -> float:
    """Below this no difference means anything: one sample of an accuracy, rounding of a loss."""
    return 100.0 / samples[metric] if metric in samples else 1e-6 * size


def _told(replays: Replays, metric: str, found: Mapping[str, _Divided], missing: str) -> Attribution:
    main = found[metric]
    means = mean_of(main.shares)
    order = sorted(replays.causes, key=lambda one: -abs(means[one]))
    gap, residual = float(np.mean(main.gaps)), float(np.mean(main.residuals))
    return Attribution(
        metric=metric,
        gap=gap,
        shares=[_share(replays, metric, main, one) for one in order],
        interactions=_acting_together(replays, metric, main),
        residual=residual,
        repetitions=len(main.repetitions),
        smallest=_smallest(replays, metric, main),
        curves=[
            CurveShares(
                metric=name,
                gap=float(np.mean(each.gaps)),
                shares={one: mean_of(each.shares)[one] for one in order},
                residual=float(np.mean(each.residuals)),
            )
            for name, each in found.items()
        ],
        missing=missing,
    )


def _share(replays: Replays, metric: str, main: _Divided, one: str) -> Share:
    ends = interval([shares[one] for shares in main.shares])
    everyone, alone, repaired = frozenset(replays.causes), [], []
    for repetition in main.repetitions:
        value = partial(replays.gap, metric, repetition)
        alone.append(value(frozenset({one})) - value(frozenset()))
        repaired.append(value(everyone) - value(everyone - {one}))
    return Share(
        code=one,
        share=mean_of(main.shares)[one],
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        alone=float(np.mean(alone)),
        repaired=float(np.mean(repaired)),
    )


def _acting_together(replays: Replays, metric: str, main: _Divided) -> list[Interaction]:
    """Pairs whose interaction is beyond one sample in all repetitions alike, and beyond its interval where it has one.

    Only of repetitions in which every coalition is known.
    """
    complete = [
        repetition
        for repetition in main.repetitions
        if len(replays.causes) <= EXACT and all(replays.known(some, repetition) for some in coalitions(replays.causes))
    ]
    tables = [interactions(replays.causes, partial(replays.gap, metric, repetition)) for repetition in complete]
    told = []
    for pair in tables[0] if tables else ():
        values = [table[pair] for table in tables]
        mean, ends = float(np.mean(values)), interval(values)
        beyond_chance = ends is None or not ends[0] <= 0 <= ends[1]
        if abs(mean) > grain(metric, replays.samples, abs(mean)) and beyond_chance:
            told.append(Interaction(codes=sorted(pair), share=mean))
    return sorted(told, key=lambda each: -abs(each["share"]))


def _smallest(replays: Replays, metric: str, main: _Divided) -> list[str] | None:
    """Of what was replayed with the declared seed; one sample, or rounding of a loss, still counts as closed."""
    first = main.repetitions[0]

    def value(some: Coalition) -> float:
        return replays.gap(metric, first, some) if replays.known(some, first) else np.inf

    found = smallest_repair(replays.causes, value, 1.001 * grain(metric, replays.samples, abs(main.gaps[0])))
    return None if found is None else list(found)
