"""The aligned layers of both arms: how far each pair is apart, and which of the two made it so."""

from __future__ import annotations

from collections.abc import Sequence

from equivcheck.diff.align import Pair
from equivcheck.diff.distance import NOISE, differs, distance
from equivcheck.evidence import LayerTrace
from equivcheck.measured import Distance, FirstDivergence, LayerRow, Role, TrainingFlag
from equivcheck.trace.layers import Arrays, Seen, largest_gap, rerun
from equivcheck.trace.passes import Passes


def compare(
    left: Passes, right: Passes, pairs: Sequence[Pair], moved: frozenset[str], *, values: bool
) -> tuple[LayerRow, ...]:
    """One row per aligned layer.

    Args:
        left: The bottleneck arm's passes.
        right: The frozen arm's, on the same samples.
        pairs: Which layer of one is which of the other.
        moved: Layers of the frozen arm that a training step changed.
        values: Whether the samples are known to be the same; if not, nothing is compared.

    Returns:
        The rows, in order of execution. Composite layers are left out where their own layers are listed.
    """
    calm = {seen.path: seen for seen in left.inference}, {seen.path: seen for seen in right.inference}
    fitted = {seen.path: seen for seen in left.fit}, {seen.path: seen for seen in right.fit}
    rows = []
    for pair in pairs:
        a = left.layers[pair[0]] if pair[0] is not None else None
        b = right.layers[pair[1]] if pair[1] is not None else None
        if a is None or b is None:
            layer = a or b
            assert layer is not None
            if not layer.composite:
                rows.append(_row(a, b, None, None, None, moved))
            continue
        inference = training = None
        role: Role | None = None
        if values:
            inference = _gap(calm[0].get(a.path), calm[1].get(b.path))
            training = _gap(fitted[0].get(a.path), fitted[1].get(b.path))
            if training is not None or inference is not None:
                role = "equal"
            if differs(training):
                role = _role(fitted[0][a.path], fitted[1][b.path])
            elif differs(inference):
                role = "propagated"
        rows.append(_row(a, b, inference, training, role, moved))
    return tuple(rows)


def first_divergence(rows: Sequence[LayerRow]) -> FirstDivergence:
    """The first layer, in order of execution, whose outputs are further apart than float noise."""
    return FirstDivergence(
        inference=next((row.name for row in rows if differs(row.inference)), None),
        training=next((row.name for row in rows if differs(row.training)), None),
    )


def _gap(a: Seen | None, b: Seen | None) -> Distance | None:
    """The largest of the distances of a layer's outputs; None where they cannot be compared."""
    if a is None or b is None or not _same_shapes(a.outputs, b.outputs) or not a.outputs:
        return None
    return max((distance(x, y) for x, y in zip(a.outputs, b.outputs, strict=True)), key=lambda gap: gap.max_rel)


def _same_shapes(a: Arrays, b: Arrays) -> bool:
    return [array.shape for array in a] == [array.shape for array in b]


def _role(a: Seen, b: Seen) -> Role:
    """A layer is a source when, fed the other arm's input, it still gives another output."""
    if not _same_shapes(a.inputs, b.inputs):
        return "source"
    return "source" if largest_gap(a.outputs, rerun(b.call, a.inputs)) > NOISE else "propagated"


def _row(
    a: LayerTrace | None,
    b: LayerTrace | None,
    inference: Distance | None,
    training: Distance | None,
    role: Role | None,
    moved: frozenset[str],
) -> LayerRow:
    layer = b or a
    assert layer is not None
    return LayerRow(
        name=layer.path,
        kind=layer.kind,
        bottleneck=a.path if a else None,
        frozen=b.path if b else None,
        inference=inference,
        training=training,
        training_flag=b.flag if b else TrainingFlag(),
        stochastic=b.stochastic if b else False,
        batch_dependent=b.batch_gap > 0 if b else False,
        trainable=b.trainable and bool(b.weights) if b else False,
        moved=b is not None and b.path.partition("#")[0] in moved,
        role=role,
    )
