"""The gap as a game: what each cause makes of it, alone and with others.

The players are causes. A coalition is a set of causes that are present, and its value is the gap of the two arms with
these present and all others repaired. The Shapley value divides what all causes make together, and contains each
cause's part of what it makes together with others (Shapley 1953; for what a setting makes of a result: HyperSHAP, AAAI
2025). Nothing here trains: values come from whoever replays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, combinations

import numpy as np

Coalition = frozenset[str]

#: The gap with these causes present and the others repaired, in the unit of the metric.
Value = Callable[[Coalition], float]


def coalitions(players: Sequence[str]) -> Iterator[Coalition]:
    """All sets of players, those first that say most: all, none, all but one, one, then the others by size."""
    everyone, size = frozenset(players), len(players)
    first = [everyone, frozenset(), *(everyone - {one} for one in players), *(frozenset({one}) for one in players)]
    rest = (frozenset(some) for number in range(2, size - 1) for some in combinations(players, number))
    yield from dict.fromkeys(chain(first, rest))


def shapley(players: Sequence[str], value: Value) -> dict[str, float]:
    """Each player's mean marginal contribution over all orders in which they could come; exact.

    Args:
        players: The causes; the value is asked of every set of them.
        value: The gap of a coalition.

    Returns:
        One share a player; together they are ``value(all) - value(none)``.
    """
    size = len(players)
    shares = {}
    for one in players:
        others = [other for other in players if other != one]
        total = 0.0
        for number in range(size):
            weight = math.factorial(number) * math.factorial(size - number - 1) / math.factorial(size)
            for some in combinations(others, number):
                total += weight * (value(frozenset({one, *some})) - value(frozenset(some)))
        shares[one] = total
    return shares


def sampled(players: Sequence[str], value: Value, orders: int, seed: int) -> dict[str, float]:
    """The same over some random orders, each also backwards, so that pairs of causes make no error.

    Antithetic permutation sampling: Mitchell et al., "Sampling permutations for Shapley value estimation", JMLR 2022.

    Args:
        players: The causes.
        value: The gap of a coalition.
        orders: How many orders to draw; each asks for ``2 * len(players)`` values at most.
        seed: Of the draw.
    """
    draw = np.random.default_rng(seed)
    total = dict.fromkeys(players, 0.0)
    for _ in range(orders):
        order = [players[place] for place in draw.permutation(len(players))]
        for way in (order, order[::-1]):
            present: Coalition = frozenset()
            for one in way:
                total[one] += value(present | {one}) - value(present)
                present |= {one}
    return {one: share / (2 * orders) for one, share in total.items()}


def from_screens(players: Sequence[str], value: Value) -> dict[str, float]:
    """Shares from all-but-one and one-alone coalitions only.

    The mean of what a cause makes alone and of what it makes beside all others. It is the Shapley value where causes
    act together in pairs at most; what three and more make together is left over.
    """
    everyone = frozenset(players)
    return {
        one: (value(frozenset({one})) - value(frozenset()) + value(everyone) - value(everyone - {one})) / 2
        for one in players
    }


def interactions(players: Sequence[str], value: Value) -> dict[tuple[str, str], float]:
    """What each pair makes together beyond what each makes alone, averaged over who else is there.

    The Shapley interaction index of Grabisch and Roubens (1999); negative where two causes hide each other.
    """
    size = len(players)
    found = {}
    for one, other in combinations(players, 2):
        rest = [player for player in players if player not in {one, other}]
        total = 0.0
        for number in range(size - 1):
            weight = math.factorial(number) * math.factorial(size - number - 2) / math.factorial(size - 1)
            for some in map(frozenset, combinations(rest, number)):
                both, first, second = value(some | {one, other}), value(some | {one}), value(some | {other})
                total += weight * (both - first - second + value(some))
        found[one, other] = total
    return found


def smallest_repair(players: Sequence[str], value: Value, tolerance: float) -> tuple[str, ...] | None:
    """The fewest causes to repair so that what is left of the gap is no more than the tolerance; None: no set does.

    Of several sets of one size the one that leaves least.
    """
    everyone = frozenset(players)
    for number in range(len(players) + 1):
        left = {some: abs(value(everyone - frozenset(some))) for some in combinations(players, number)}
        best = min(left, key=lambda some: left[some])
        if left[best] <= tolerance:
            return best
    return None


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of the mean (Student's t); None of fewer than three values, which say too little."""
    if len(values) < 3:  # noqa: PLR2004
        return None
    mean, half = float(np.mean(values)), _T[min(len(values) - 2, len(_T) - 1)] * float(np.std(values, ddof=1))
    half /= math.sqrt(len(values))
    return mean - half, mean + half


#: Student's t, two-sided 95 %, by degrees of freedom less one (Abramowitz and Stegun, table 26.10).
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def mean_of(shares: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each player's share over repetitions."""
    return {one: float(np.mean([each[one] for each in shares])) for one in shares[0]}
