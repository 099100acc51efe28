"""What to compare of two passes: which layer is which, which tensor is which, and who feeds whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from equivcheck.diff.align import Pair, align
from equivcheck.trace.hooks import layers_by_path
from equivcheck.trace.layers import Seen, weights_of

#: A tensor of a pass: which model, which of its calls, which of the call's tensors (inputs first, then outputs).
Place = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Fact:
    """What a layer call is aligned by; see ``diff.align``."""

    path: str
    kind: str
    shape: tuple[int | None, ...]
    weights: tuple[tuple[int, ...], ...]
    composite: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Two passes, call by call and tensor by tensor; holds for every batch.

    Attributes:
        left: The first model's calls.
        right: The second model's calls.
        pairs: Which call is which.
        places: The pairs of tensors to compare, each once. What has no partner is compared with itself: that tells
            whether all of it is finite.
        inputs: Per pair of calls, which of ``places`` are its inputs; None where they cannot be paired.
        outputs: The same for its outputs.
        lone: Per call without a partner, which of ``places`` are its outputs.
        feeds: Per pair of calls, the pairs behind it that take its output, in the second model.
        within: Per pair of calls, the pair that is the composite layer around it, in the second model.
    """

    left: tuple[Fact, ...]
    right: tuple[Fact, ...]
    pairs: tuple[Pair, ...]
    places: tuple[tuple[Place, Place], ...]
    inputs: Mapping[int, tuple[int, ...] | None]
    outputs: Mapping[int, tuple[int, ...] | None]
    lone: Mapping[int, tuple[int, ...]]
    feeds: Mapping[int, tuple[int, ...]]
    within: Mapping[int, int]

    def fact(self, number: int) -> Fact:
        """The call that a pair is named after: the second model's, or the first's where only that has it."""
        i, j = self.pairs[number]
        if j is not None:
            return self.right[j]
        assert i is not None
        return self.left[i]


def fact_of(seen: Seen) -> Fact:
    """What a call is aligned by."""
    layer = seen.layer
    return Fact(
        path=seen.path,
        kind=type(layer).__name__,
        shape=_shape(seen.outputs[0]) if seen.outputs else (),
        weights=tuple(tuple(variable.shape) for variable in weights_of(layer)),
        composite=is_composite(layer),
    )


def is_composite(layer: keras.Operation) -> bool:
    """Whether a layer has layers of its own, which are listed themselves."""
    return isinstance(layer, keras.layers.Layer) and len(layers_by_path(layer)) > 1


def tensor_at(sides: Sequence[Sequence[Seen]], place: Place) -> Any:
    """The tensor that a place means, of both models' calls."""
    model, call, number = place
    seen = sides[model][call]
    return (*seen.inputs, *seen.outputs)[number]


def plan(left: Sequence[Seen], right: Sequence[Seen]) -> Plan:
    """Aligns two passes.

    Args:
        left: The first model's calls, in order of execution.
        right: The second model's.
    """
    ours, theirs = tuple(map(fact_of, left)), tuple(map(fact_of, right))
    pairs = tuple(align(ours, theirs))
    known: dict[tuple[int, int], int] = {}
    places: list[tuple[Place, Place]] = []

    def paired(i: int, j: int, start: tuple[int, int], a: Sequence[Any], b: Sequence[Any]) -> tuple[int, ...] | None:
        if len(a) != len(b):
            return None
        found = []
        for step, (x, y) in enumerate(zip(a, b, strict=True)):
            key = id(x), id(y)  # the recorder keeps each tensor as one object
            if key not in known:
                known[key] = len(places)
                places.append(((0, i, start[0] + step), (1, j, start[1] + step)))
            found.append(known[key])
        return tuple(found)

    inputs: dict[int, tuple[int, ...] | None] = {}
    outputs: dict[int, tuple[int, ...] | None] = {}
    lone: dict[int, tuple[int, ...]] = {}
    for number, (i, j) in enumerate(pairs):
        if i is not None and j is not None:
            a, b = left[i], right[j]
            inputs[number] = paired(i, j, (0, 0), a.inputs, b.inputs)
            outputs[number] = paired(i, j, (len(a.inputs), len(b.inputs)), a.outputs, b.outputs)
        else:
            model, call = (1, j) if i is None else (0, i)
            assert call is not None
            seen = (left, right)[model][call]
            own = [(model, call, len(seen.inputs) + step) for step in range(len(seen.outputs))]
            lone[number] = tuple(range(len(places), len(places) + len(own)))
            places += [(place, place) for place in own]
    feeds, within = _feeds(pairs, left, right), _within(pairs, left, right)
    return Plan(ours, theirs, pairs, tuple(places), inputs, outputs, lone, feeds, within)


def _feeds(pairs: Sequence[Pair], left: Sequence[Seen], right: Sequence[Seen]) -> Mapping[int, tuple[int, ...]]:
    """Who takes whose output: in the second model, and in the first for a layer that only it has."""
    found: dict[int, tuple[int, ...]] = {}
    for side, calls in enumerate((left, right)):
        takers: dict[int, list[int]] = {}
        for number, pair in enumerate(pairs):
            call = pair[side]
            if call is not None and not is_composite(calls[call].layer):
                for tensor in calls[call].inputs:
                    takers.setdefault(id(tensor), []).append(number)
        for number, pair in enumerate(pairs):
            call = pair[side]
            if call is not None and (side == 1 or pair[1] is None):
                feeds = {taker for tensor in calls[call].outputs for taker in takers.get(id(tensor), ())}
                # Layers that hand on the very tensor that they received take it as well, behind one another.
                found[number] = tuple(sorted(feed for feed in feeds if feed > number))
    return found


def _within(pairs: Sequence[Pair], left: Sequence[Seen], right: Sequence[Seen]) -> Mapping[int, int]:
    """Whose part is whose: in the second model, and in the first for a layer that only it has."""
    found: dict[int, int] = {}
    for side, calls in enumerate((left, right)):
        wholes: list[tuple[int, int, set[int]]] = []
        for number in range(len(pairs) - 1, -1, -1):  # parts finish before the whole
            call = pairs[number][side]
            if call is None:
                continue
            layer = calls[call].layer
            around = [(size, whole) for size, whole, parts in wholes if id(layer) in parts]
            if around and (side == 1 or pairs[number][1] is None):
                found[number] = min(around)[1]  # the innermost, and of its calls the next
            if is_composite(layer):
                parts = {id(part) for part in layers_by_path(layer).values()} - {id(layer)}
                wholes.append((len(parts), number, parts))
    return found


def _shape(tensor: Any) -> tuple[int | None, ...]:
    """Without the number of samples; a tensor of unknown rank has none."""
    rank = getattr(tensor.shape, "rank", len(tensor.shape))
    return (None, *tuple(tensor.shape)[1:]) if rank else ()
