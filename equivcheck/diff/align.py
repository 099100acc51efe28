"""Which layer of one model is which of the other."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Protocol

#: Rows of the two sequences; None where one model has no such layer.
Pair = tuple[int | None, int | None]


class Alignable(Protocol):
    """What a layer call is aligned by."""

    @property
    def path(self) -> str:
        """Full path in its model."""

    @property
    def kind(self) -> str:
        """Keras class name."""

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Output shape, batch axis first."""

    @property
    def weights(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of its weights."""


def align(first: Sequence[Alignable], second: Sequence[Alignable]) -> list[Pair]:
    """Pairs layers by full path, then by name, then by what they are and where they stand.

    A backbone may be nested in one model and flat in the other, so containers' names may differ; a backbone that was
    built a second time gets other automatic names, so then its layers are paired in order by kind and shapes.

    Args:
        first: Layer calls in execution order.
        second: The same for the other model.

    Returns:
        All rows of both, in the second model's order of execution, unpaired ones of the first where they ran.
    """
    paired: dict[int, int] = {}
    for key in (_path, _name):
        _pair_by(key, first, second, paired)
    _pair_by_topology(_signature, first, second, paired)
    # A class of the user's own in one model (another BatchNormalization, say) is known by its weights.
    _pair_by_topology(_anatomy, first, second, paired)
    return _in_order(len(first), len(second), paired)


def _path(layer: Alignable) -> str:
    return layer.path


def _name(layer: Alignable) -> str:
    return layer.path.rpartition("/")[2]


def _compatible(a: Alignable, b: Alignable) -> bool:
    return a.shape[1:] == b.shape[1:] or a.kind == b.kind


def _pair_by(
    key: Callable[[Alignable], str], a: Sequence[Alignable], b: Sequence[Alignable], paired: dict[int, int]
) -> None:
    """Pairs what has the same key, where the key is unique on both sides.

    Keras numbers the names that nobody gave, so one layer more at the start shifts them all. Such names are believed
    only where all of them agree with what the layers are.
    """
    taken = set(paired.values())
    left = [row for row in range(len(a)) if row not in paired]
    right = [row for row in range(len(b)) if row not in taken]
    count_a, count_b = Counter(key(a[row]) for row in left), Counter(key(b[row]) for row in right)
    where = {key(b[row]): row for row in right}
    same = {row: where[key(a[row])] for row in left if count_a[key(a[row])] == 1 and count_b[key(a[row])] == 1}
    automatic = {row for row in same if _is_automatic(a[row])}
    if any(_signature(a[row]) != _signature(b[same[row]]) for row in automatic):
        same = {row: other for row, other in same.items() if row not in automatic}
    paired |= {row: other for row, other in same.items() if _compatible(a[row], b[other])}


def _is_automatic(layer: Alignable) -> bool:
    """Whether Keras made the name up: the class in snake case, and a number."""
    name = re.sub(r"(_\d+)?(#\d+)?$", "", _name(layer))
    return name.replace("_", "") == layer.kind.lower()


def _pair_by_topology(
    key: Callable[[Alignable], Hashable], a: Sequence[Alignable], b: Sequence[Alignable], paired: dict[int, int]
) -> None:
    """Between layers that are paired, pairs the longest common runs of what is left; a layer without a key never."""
    for left, right in _between(len(a), len(b), paired):
        # None equals None, so what has no key gets one of its own.
        matcher = SequenceMatcher(
            None,
            [key(a[row]) or ("first", row) for row in left],
            [key(b[row]) or ("second", row) for row in right],
            autojunk=False,
        )
        for block in matcher.get_matching_blocks():
            for step in range(block.size):
                paired[left[block.a + step]] = right[block.b + step]


def _between(size_a: int, size_b: int, paired: dict[int, int]) -> Iterator[tuple[list[int], list[int]]]:
    """Unpaired rows of both, section by section; pairs that cross others bound no section."""
    taken = set(paired.values())
    bounds, furthest = [(-1, -1)], -1
    for row, other in sorted(paired.items()):
        if other > furthest and all(o > other for r, o in paired.items() if r > row):
            bounds.append((row, other))
            furthest = other
    bounds.append((size_a, size_b))
    for (start_a, start_b), (end_a, end_b) in pairwise(bounds):
        left = [row for row in range(start_a + 1, end_a) if row not in paired]
        right = [row for row in range(start_b + 1, end_b) if row not in taken]
        if left and right:
            yield left, right


def _signature(layer: Alignable) -> tuple[object, ...]:
    return layer.kind, layer.shape[1:], layer.weights


def _anatomy(layer: Alignable) -> tuple[object, ...] | None:
    return (layer.shape[1:], layer.weights) if layer.weights else None


def _in_order(size_a: int, size_b: int, paired: dict[int, int]) -> list[Pair]:
    partner = {b: a for a, b in paired.items()}
    before: dict[int, list[int]] = defaultdict(list)
    anchor = 0
    for a in range(size_a):
        if a in paired:
            anchor = paired[a] + 1
        else:
            before[anchor].append(a)
    rows: list[Pair] = []
    for b in range(size_b + 1):
        rows += [(a, None) for a in before[b]]
        if b < size_b:
            rows.append((partner.get(b), b))
    return rows
