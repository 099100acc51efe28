"""The layers as a tree, in the order in which they run: containers, and the layers in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from equivcheck.measured import LayerRow
from equivcheck.report.folding import telling
from equivcheck.report.layer_words import FLAGS, notes, role
from equivcheck.report.numbers import ABSENT, number
from equivcheck.report.prose import counted
from equivcheck.report.visible import shortened, visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from equivcheck.report.model import Report

#: Containers in containers; what lies deeper keeps its slashes.
_DEEPEST = 6

#: Layers of the page, which must stay small enough to mail. The largest network of Keras has 1,039.
_MOST = 1_100

#: Characters of one part of a path: with so many layers, the longest names cannot all be told in full.
_LONGEST_PART = 80


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        depth: 1 for what lies in no container.
        label: The last part of the path.
        cells: What stands in the other columns; a container that is no layer itself has only the last.
        role: ``source``, ``propagated``, ``equal``, or empty.
        container: Whether lines of greater depth follow that lie in it.
        telling: Whether it is one of the few that tell where the arms part.
    """

    depth: int
    label: str
    cells: tuple[str, ...]
    role: str
    container: bool
    telling: bool


@dataclass(slots=True)
class _Node:
    layer: LayerRow | None = None
    telling: bool = False
    inner: dict[str, _Node] = field(default_factory=dict)


def tree(report: Report) -> tuple[list[Row], int]:
    """The lines, and how many layers are left out because there are too many."""
    chosen = _chosen(report)
    kept = telling(report) if report.layers else set()
    root = _Node()
    for place in chosen:
        node = root
        for part in report.layers[place].name.split("/", _DEEPEST - 1):
            node = node.inner.setdefault(part, _Node())
        if node.layer is not None:
            # Two layers of one name: the second has a line of its own.
            node = node.inner.setdefault("", _Node())
        node.layer, node.telling = report.layers[place], place in kept
    return list(_rows(root, report, 1)), len(report.layers) - len(chosen)


def _chosen(report: Report) -> list[int]:
    """Places of the layers to show: all, or the telling ones and the first others."""
    places = range(len(report.layers))
    if len(report.layers) <= _MOST:
        return list(places)
    kept = telling(report)
    ranked = sorted(places, key=lambda place: (place not in kept, report.layers[place].role == "equal", place))
    return sorted(ranked[:_MOST])


def _rows(parent: _Node, report: Report, depth: int) -> Iterator[Row]:
    for name, node in parent.inner.items():
        inner = list(_rows(node, report, depth + 1))
        label = shortened(visible(name), _LONGEST_PART)
        if node.layer is None:
            roles = Counter(found.role or "not compared" for found in _layers(node))
            told = ", ".join(counted(n, said) if said == "source" else f"{n} {said}" for said, n in roles.items())
            yield Row(depth, label, (told,), "", container=True, telling=any(row.telling for row in inner))
        else:
            seen = node.telling or any(row.telling for row in inner)
            yield Row(depth, label, _cells(node.layer, report), node.layer.role or "", bool(inner), seen)
        yield from inner


def _layers(node: _Node) -> Iterator[LayerRow]:
    for child in node.inner.values():
        if child.layer is not None:
            yield child.layer
        yield from _layers(child)


def _cells(layer: LayerRow, report: Report) -> tuple[str, ...]:
    inference, training = layer.inference, layer.training
    floor = next((gap.floor for gap in (training, inference) if gap is not None and gap.floor is not None), None)
    return (
        shortened(visible(layer.kind), _LONGEST_PART),
        number(inference.max_abs) if inference else ABSENT,
        number(inference.max_rel) if inference else ABSENT,
        number(training.max_rel) if training else ABSENT,
        number(floor) if floor is not None else ABSENT,
        FLAGS[layer.training_flag.fit],
        ", ".join([role(layer), *notes(layer, report)]),
    )
