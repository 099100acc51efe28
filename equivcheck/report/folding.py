"""Which layers matter: a network has hundreds, and a reader wants the few where the arms part."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from equivcheck.report.prose import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from equivcheck.measured import LayerRow
    from equivcheck.report.model import Report

#: Sources of one kind that are shown. InceptionV3 has 94 BatchNormalization layers: the 91 others tell nothing new.
_SOURCES_OF_A_KIND = 3


@dataclass(frozen=True, slots=True)
class Folded:
    """A run of layers told in one line: how many, and ``equal`` or ``26 propagated, 13 sources``."""

    count: int
    roles: str


def folded(report: Report) -> Iterator[LayerRow | Folded]:
    """The layers that matter, and for each run of others their number and roles."""
    kept = telling(report)
    run: list[LayerRow] = []
    for index, layer in enumerate(report.layers):
        if index not in kept:
            run.append(layer)
            continue
        yield from _run(run)
        run = []
        yield layer
    yield from _run(run)


def telling(report: Report) -> set[int]:
    """Indices of first divergences, the first sources, layers that findings name, all their neighbours, the output."""
    first = report.first_divergence
    named = {first.inference, first.training}
    named |= {finding.location.layer if finding.location else finding.layer for finding in report.findings}
    centres: set[int] = set()
    sources: Counter[str] = Counter()
    for index, layer in enumerate(report.layers):
        if layer.role == "source":
            sources[layer.kind] += 1
        if layer.name in named or (layer.role == "source" and sources[layer.kind] <= _SOURCES_OF_A_KIND):
            centres.add(index)
    return {index + step for index in centres for step in (-1, 0, 1)} | {len(report.layers) - 1}


def _run(run: Sequence[LayerRow]) -> Iterator[LayerRow | Folded]:
    if len(run) == 1:
        # A line is a line: the layer itself says more than "1 layer equal".
        yield run[0]
    elif run:
        roles = Counter(layer.role or "not compared" for layer in run)
        words = [counted(n, role) if role == "source" else f"{n} {role}" for role, n in roles.most_common()]
        yield Folded(len(run), ", ".join(words) if len(words) > 1 else next(iter(roles)))
