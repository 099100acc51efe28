"""The aligned layers of both arms: how far each pair is apart, and which of the two made it so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from equivcheck.diff.distance import differs
from equivcheck.diff.tally import Tally, tally
from equivcheck.evidence import LayerTrace
from equivcheck.measured import FirstDivergence, LayerGap, LayerRow, TrainingFlag
from equivcheck.trace.gaps import Floor, gaps, in_isolation, measured_floor
from equivcheck.trace.layers import Seen
from equivcheck.trace.passes import Passes
from equivcheck.trace.plan import Plan, plan, tensor_at

#: Runs the bottleneck arm again on its probe samples, each changed by one rounding: inference and fit.
Again = Callable[[], tuple[tuple[Seen, ...], tuple[Seen, ...]]]


def compare(left: Passes, right: Passes, moved: frozenset[str], *, values: bool, again: Again) -> tuple[LayerRow, ...]:
    """One row per aligned layer.

    Args:
        left: The bottleneck arm's passes.
        right: The frozen arm's, on the same samples.
        moved: Layers of the frozen arm that a training step changed.
        values: Whether the samples are known to be the same; if not, nothing is compared.
        again: Gives the noise floor; called only where something differs.

    Returns:
        The rows, in order of execution. Composite layers are left out where their own layers are listed.
    """
    plans = plan(left.inference, right.inference), plan(left.fit, right.fit)
    sides = (left.inference, right.inference), (left.fit, right.fit)
    tallies = tuple(
        _tallies(each, *calls) if values else [None] * len(each.places)
        for each, calls in zip(plans, sides, strict=True)
    )
    floor: list[Floor] = [lambda _i, _alone: None] * 2
    if any(one is not None and not one.equal for mode in tallies for one in mode):
        floor = [measured_floor(calls[0], more) for calls, more in zip(sides, again(), strict=True)]
    inference, training = (gaps(plans[mode], tallies[mode], floor[mode], in_isolation(*sides[mode])) for mode in (0, 1))
    calm = {(gap.a, gap.b): gap for gap in inference}
    ours, theirs = ({layer.path: layer for layer in passes.layers} for passes in (left, right))
    return tuple(
        _row(gap, calm.get((gap.a, gap.b)), ours.get(gap.a or ""), theirs.get(gap.b or ""), moved) for gap in training
    )


def first_divergence(rows: Sequence[LayerRow]) -> FirstDivergence:
    """The first layer, in order of execution, whose outputs are further apart than float noise."""
    return FirstDivergence(
        inference=next((row.name for row in rows if differs(row.inference)), None),
        training=next((row.name for row in rows if differs(row.training)), None),
    )


def _tallies(what: Plan, left: Sequence[Seen], right: Sequence[Seen]) -> list[Tally | None]:
    found: list[Tally | None] = []
    for a, b in what.places:
        x, y = tensor_at((left, right), a), tensor_at((left, right), b)
        found.append(tally(x, y) if x.shape == y.shape else None)
    return found


def _row(
    fit: LayerGap, calm: LayerGap | None, a: LayerTrace | None, b: LayerTrace | None, moved: frozenset[str]
) -> LayerRow:
    # What a layer does in fit is what the curves show; where it is equal there, it may still differ in inference.
    told = calm if calm is not None and not differs(fit.distance) and differs(calm.distance) else fit
    return LayerRow(
        name=fit.name,
        kind=fit.kind,
        bottleneck=fit.a,
        frozen=fit.b,
        inference=calm.distance if calm else None,
        training=fit.distance,
        training_flag=b.flag if b else TrainingFlag(),
        stochastic=b.stochastic if b else False,
        batch_dependent=b.batch_gap > 0 if b else False,
        trainable=b.trainable and bool(b.weights) if b else False,
        moved=b is not None and b.path.partition("#")[0] in moved,
        role=told.role if a is not None and b is not None else None,
        undone_by=told.undone_by,
    )
