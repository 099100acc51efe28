"""Which layer of one arm is which of the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from equivcheck.evidence import LayerTrace

#: Rows of the two sequences; None where one arm has no such layer.
Pair = tuple[int | None, int | None]


def align(bottleneck: Sequence[LayerTrace], frozen: Sequence[LayerTrace]) -> list[Pair]:
    """Pairs layers by full path, then by name, then by what they are and where they stand.

    A backbone may be nested in one arm and flat in the other, so containers' names may differ; a backbone that was
    built a second time gets other automatic names, so then its layers are paired in order by kind and shapes.

    Args:
        bottleneck: Layer calls in execution order.
        frozen: The same for the other arm.

    Returns:
        All rows of both, in the frozen arm's order of execution, unpaired ones of the bottleneck arm where they ran.
    """
    paired: dict[int, int] = {}
    for key in (_path, _name):
        _pair_by(key, bottleneck, frozen, paired)
    _pair_by_topology(bottleneck, frozen, paired)
    return _in_order(len(bottleneck), len(frozen), paired)


def _path(layer: LayerTrace) -> str:
    return layer.path


def _name(layer: LayerTrace) -> str:
    return layer.path.rpartition("/")[2]


def _compatible(a: LayerTrace, b: LayerTrace) -> bool:
    return a.shape[1:] == b.shape[1:] or a.kind == b.kind


def _pair_by(
    key: Callable[[LayerTrace], str], a: Sequence[LayerTrace], b: Sequence[LayerTrace], paired: dict[int, int]
) -> None:
    """Pairs what has the same key, where the key is unique on both sides."""
    taken = set(paired.values())
    left = [row for row in range(len(a)) if row not in paired]
    right = [row for row in range(len(b)) if row not in taken]
    count_a, count_b = Counter(key(a[row]) for row in left), Counter(key(b[row]) for row in right)
    where = {key(b[row]): row for row in right}
    for row in left:
        name = key(a[row])
        if count_a[name] == 1 and count_b[name] == 1 and _compatible(a[row], b[where[name]]):
            paired[row] = where[name]


def _pair_by_topology(a: Sequence[LayerTrace], b: Sequence[LayerTrace], paired: dict[int, int]) -> None:
    """Pairs the longest common sequence of what is left, by kind, output shape and weight shapes."""
    taken = set(paired.values())
    left = [row for row in range(len(a)) if row not in paired]
    right = [row for row in range(len(b)) if row not in taken]
    matcher = SequenceMatcher(
        None, [_signature(a[row]) for row in left], [_signature(b[row]) for row in right], autojunk=False
    )
    for block in matcher.get_matching_blocks():
        for step in range(block.size):
            paired[left[block.a + step]] = right[block.b + step]


def _signature(layer: LayerTrace) -> tuple[object, ...]:
    return layer.kind, layer.shape[1:], layer.weights


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
