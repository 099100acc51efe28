"""Which layers make a difference, which hand one on, and which undo it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from equivcheck.diff.distance import differs
from equivcheck.measured import Distance, Role


@dataclass(frozen=True, slots=True)
class Link:
    """One aligned pair of layer calls, and what was measured around it.

    Attributes:
        output: How far the outputs are apart; None where they cannot be compared.
        inputs: How far each input is apart; None where one cannot be compared, or the layers take differently many.
        feeds: Places, in the sequence of links, of the layers that take this one's output, all of them behind it; a
            layer without any gives an output of the model, or of the layer it is part of.
        within: Place of the layer that this one is part of, if it is: that layer's own code may use the output too.
    """

    output: Distance | None
    inputs: Sequence[Distance | None]
    feeds: Sequence[int]
    within: int | None = None


def unclear(link: Link) -> bool:
    """Whether a layer must be run on the other model's input to tell a source from a victim.

    Inputs that agree but for rounding tell nothing: a layer may lift what was just below the threshold just above it.
    """
    return differs(link.output) and not exact(link.inputs)


def exact(inputs: Sequence[Distance | None]) -> bool:
    """Whether all of a layer's inputs are equal to the last bit."""
    return all(gap is not None and gap.bit_equal for gap in inputs)


def role(link: Link, isolated: Distance | None) -> Role | None:
    """What a layer does to the difference.

    Args:
        link: The pair.
        isolated: How far the outputs are apart when both layers are fed the first model's input; None where they
            cannot be, because they take inputs of other shapes.
    """
    if link.output is None:
        return None
    if not differs(link.output):
        return "equal"
    if not unclear(link):
        return "source"
    return "propagated" if isolated is not None and not differs(isolated) else "source"


def undone(links: Sequence[Link]) -> Mapping[int, int]:
    """For each link whose difference is gone on every way to the outputs, the place behind which it is.

    That is the last of the places where a way ends. A link that could not be compared is taken to hand on what it
    received.
    """
    gone: dict[int, int] = {}
    for place in range(len(links) - 1, -1, -1):
        link = links[place]
        if _agrees(link):
            continue
        # What a layer's own code does with its parts' outputs cannot be seen: all of it must be equal in the end.
        around = () if link.within is None else (link.within,)
        ends = {feed: feed if _agrees(links[feed]) else gone.get(feed) for feed in (*link.feeds, *around)}
        if ends and None not in ends.values():
            gone[place] = max(end for feed in link.feeds or around if (end := ends[feed]) is not None)
    return {place: end for place, end in gone.items() if differs(links[place].output)}


def _agrees(link: Link) -> bool:
    return link.output is not None and not differs(link.output)
