"""From tallies to one row a layer: how far apart, and who made it so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from equivcheck.diff.culprit import Link, exact, role, unclear, undone
from equivcheck.diff.distance import differs, distance
from equivcheck.diff.tally import Tally
from equivcheck.measured import Distance, LayerGap
from equivcheck.trace.behaviour import rerun, variables_of_layer
from equivcheck.trace.draws import seeds_of
from equivcheck.trace.floor import floors, own_floor
from equivcheck.trace.layers import Seen
from equivcheck.trace.plan import Fact, Plan, is_composite
from equivcheck.trace.state import restored

#: Noise floor of a call of the first model; of the layer alone where its inputs are equal to the last bit.
Floor = Callable[[int, bool], float | None]

#: How far two calls' outputs are apart on the first one's input; None where the second cannot take it.
Isolated = Callable[[int, int], Distance | None]


def gaps(plan: Plan, tallies: Sequence[Tally | None], floor: Floor, isolated: Isolated) -> tuple[LayerGap, ...]:
    """One row per aligned pair, in order of execution.

    A layer whose parts are listed is left out, unless the difference is its own: it makes one, and none of its parts
    does.

    Args:
        plan: What was compared.
        tallies: What was counted, by place of the plan.
        floor: Gives the noise floor; asked only where something differs.
        isolated: Runs the second of two calls on the first one's input.
    """
    links = [_link(plan, number, tallies, floor) for number in range(len(plan.pairs))]
    ends = undone(links)
    rows: list[LayerGap] = []
    made_inside: set[int] = set()
    for number, (i, j) in enumerate(plan.pairs):
        a, b = plan.left[i] if i is not None else None, plan.right[j] if j is not None else None
        fact = plan.fact(number)
        link = links[number]
        if fact.composite and (not differs(link.output) or number in made_inside):
            continue
        alone = isolated(i, j) if i is not None and j is not None and unclear(link) else None
        what = role(link, alone)
        if fact.composite and what != "source":
            continue
        if what == "source":
            made_inside |= set(_around(plan, number))
        rows.append(
            LayerGap(
                name=fact.path,
                kind=fact.kind,
                a=a.path if a else None,
                b=b.path if b else None,
                distance=link.output,
                role=what,
                undone_by=plan.fact(ends[number]).path if number in ends else None,
                nonfinite=_nonfinite(plan, number, tallies),
                reason=_reason(a, b, link.output),
            )
        )
    return tuple(rows)


def _around(plan: Plan, number: int) -> Iterator[int]:
    """The composite layers around a call, from the innermost out."""
    while (whole := plan.within.get(number)) is not None:
        yield whole
        number = whole


def measured_floor(left: Sequence[Seen], again: Sequence[Seen]) -> Floor:
    """Noise floors of a pass, from the same pass on ``one_rounding`` of its batch."""
    known = floors(left, again)
    return lambda i, alone: own_floor(left[i]) if alone else known.get(left[i].path)


def in_isolation(left: Sequence[Seen], right: Sequence[Seen]) -> Isolated:
    """Runs single layers on recorded inputs; random ones draw the same.

    Args:
        left: The first model's calls, with what they received and gave.
        right: The second model's; of these only how they were made, so a graph's will do.
    """

    def run(i: int, j: int) -> Distance | None:
        a, b = left[i], right[j]
        with restored([*variables_of_layer(a.layer), *variables_of_layer(b.layer)]):
            return compare(a, b)

    def compare(a: Seen, b: Seen) -> Distance | None:
        if not _same_shapes(a.inputs, b.inputs):
            return None
        reference, floor = a.outputs, None
        if seeds := seeds_of(a.layer):
            for seed, other in zip(seeds, seeds_of(b.layer), strict=False):
                other.assign(seed)
            kept = [seed.numpy() for seed in seeds]
            reference = rerun(a.call, a.inputs)
            for seed, value in zip(seeds, kept, strict=True):  # the two layers may share their generator
                seed.assign(value)
        elif a.behaviour.stochastic:
            again = rerun(a.call, a.inputs)
            floor = max((distance(x, y).max_rel for x, y in zip(reference, again, strict=True)), default=0.0)
        elif is_composite(a.layer):  # its parts run in the mode of whoever calls them, and here that is nobody
            reference = rerun(a.call, a.inputs)
        other_outputs = rerun(b.call, a.inputs)
        if [array.shape for array in reference] != [array.shape for array in other_outputs]:
            return None
        apart = [distance(x, y) for x, y in zip(reference, other_outputs, strict=True)]
        return replace(_largest(apart), floor=floor) if apart else None

    return run


def _same_shapes(arrays: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether the others, of which a graph may leave sizes open, can have the shapes of the arrays."""
    return len(arrays) == len(others) and all(
        tf.TensorShape(tuple(x.shape)).is_compatible_with(y.shape) for x, y in zip(arrays, others, strict=True)
    )


def _link(plan: Plan, number: int, tallies: Sequence[Tally | None], floor: Floor) -> Link:
    i, _ = plan.pairs[number]

    def counted(places: Sequence[int] | None) -> list[Tally | None]:
        return [None] if places is None else [tallies[place] for place in places]

    inputs = [None if tally is None else tally.distance() for tally in counted(plan.inputs.get(number))]
    found = counted(plan.outputs.get(number))
    own = None
    if i is not None and any(tally is not None and not tally.equal for tally in found):
        own = floor(i, exact(inputs))
    outputs = [None if tally is None else tally.distance(None if tally.equal else own) for tally in found]
    whole = None if not outputs or None in outputs else _largest([gap for gap in outputs if gap is not None])
    return Link(whole, inputs, plan.feeds.get(number, ()), plan.within.get(number))


def _largest(apart: Sequence[Distance]) -> Distance:
    """The distance that is furthest beyond what rounding explains in its type; NaN counts as furthest."""
    return max(apart, key=lambda gap: float("inf") if gap.max_rel != gap.max_rel else gap.max_rel - gap.noise)


def _nonfinite(plan: Plan, number: int, tallies: Sequence[Tally | None]) -> tuple[bool, bool]:
    """Whether the outputs hold NaN or infinities, in the first and in the second model."""
    there = tuple(call is not None for call in plan.pairs[number])
    places = plan.lone.get(number) or plan.outputs.get(number) or ()
    counted = [tally.nonfinite for place in places if (tally := tallies[place]) is not None]
    return there[0] and any(own for own, _ in counted), there[1] and any(own for _, own in counted)


def _reason(a: Fact | None, b: Fact | None, output: Distance | None) -> str:
    if a is None or b is None:
        return "only in the second model" if a is None else "only in the first model"
    if output is None:
        return f"outputs have other shapes: {_shape(a)} and {_shape(b)}"
    return ""


def _shape(fact: Fact) -> str:
    return "(" + ", ".join("batch" if index == 0 else str(size) for index, size in enumerate(fact.shape)) + ")"
