"""What both arms start from: the values of their weights, and where backbone and head meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.diff.align import Pair
from equivcheck.diff.distance import distance
from equivcheck.evidence import CutTrace, LayerTrace, Region, SharedTrace, ValueGap
from equivcheck.trace.behaviour import is_seed
from equivcheck.trace.hooks import layers_by_path
from equivcheck.trace.layers import Seen, weights_of
from equivcheck.trace.passes import Passes
from equivcheck.trace.step import Step
from equivcheck.trace.variables import owners_of


def trace_values(
    left: Passes, right: Passes, pairs: Sequence[Pair], regions: Mapping[str, Region]
) -> tuple[ValueGap, ...]:
    """How far the weights of aligned layers are apart; layers whose weights have other shapes are left out.

    Args:
        left: The bottleneck arm's calls.
        right: The frozen arm's.
        pairs: Which is which.
        regions: Part of the network by the frozen arm's path.
    """
    found: list[ValueGap] = []
    for i, j in pairs:
        if i is None or j is None or "#" in right.fit[j].path:  # a second call of a layer has the same weights
            continue
        a, b = left.fit[i], right.fit[j]
        ours, theirs = own_weights(a.layer), own_weights(b.layer)
        if [tuple(each.shape) for each in ours] != [tuple(each.shape) for each in theirs]:
            continue
        for mine, other in zip(ours, theirs, strict=True):
            max_abs, max_rel = apart(np.array(mine), np.array(other))
            found.append(
                ValueGap(
                    path_bottleneck=f"{a.path}/{mine.name}",
                    path_frozen=f"{b.path}/{other.name}",
                    layer=b.path,
                    region=regions.get(b.path, "head"),
                    size=int(np.prod(mine.shape, dtype=np.int64)),
                    max_abs=max_abs,
                    max_rel=max_rel,
                )
            )
    return tuple(found)


def own_weights(layer: keras.Operation) -> list[keras.Variable]:
    """A layer's weights without those of its sub-layers, which are listed themselves."""
    if not isinstance(layer, keras.layers.Layer):
        return []
    parts = {id(weight) for part in layers_by_path(layer).values() if part is not layer for weight in weights_of(part)}
    return [weight for weight in weights_of(layer) if id(weight) not in parts and not is_seed(weight)]


def apart(mine: npt.NDArray[Any], other: npt.NDArray[Any]) -> tuple[float, float]:
    """Largest absolute difference, and the same relative to the largest of ``mine``, in the coarser of both types."""
    coarser = min(mine.dtype, other.dtype, key=lambda dtype: dtype.itemsize)
    a, b = (each.astype(coarser).astype(np.float64) for each in (mine, other))
    if not a.size or np.array_equal(a, b, equal_nan=True):
        return 0.0, 0.0
    gap, scale = float(np.abs(a - b).max()), float(np.abs(a).max())
    return gap, gap / scale if scale else float("inf")


def trace_cut(
    left: Passes, right: Passes, pairs: Sequence[Pair], regions: Mapping[str, Region], stored: str, *, values: bool
) -> CutTrace | None:
    """Where backbone and head meet.

    Args:
        left: The bottleneck arm's calls.
        right: The frozen arm's.
        pairs: Which is which.
        regions: Part of the network by the frozen arm's path.
        stored: NumPy type name of the stored features.
        values: Whether the samples are known to be the same.

    Returns:
        None where the bottleneck arm's backbone is not known, or a head has no weights.
    """
    ours = [layer.region for layer in left.layers]
    theirs: list[Region] = [regions.get(layer.path, "head") for layer in right.layers]
    entrances = _entrance(left, ours), _entrance(right, theirs)
    if "backbone" not in ours or entrances[0] is None or entrances[1] is None:
        return None
    alone = (
        _alone(left, ours, [i for i, j in pairs if i is not None and j is None]),
        _alone(right, theirs, [j for i, j in pairs if j is not None and i is None]),
    )
    mine, other = (np.asarray(seen.inputs[0], np.float64) for seen in entrances if seen is not None)
    return CutTrace(
        shape_bottleneck=tuple(map(int, mine.shape[1:])),
        shape_frozen=tuple(map(int, other.shape[1:])),
        only_bottleneck=tuple(seen.path for seen in alone[0] if not _hands_on(seen)),
        only_frozen=tuple(seen.path for seen in alone[1] if not _hands_on(seen)),
        idle=tuple(seen.path for seen in (*alone[0], *alone[1]) if _hands_on(seen)),
        stored=stored,
        feature_gap=distance(mine, other).max_rel if values and mine.shape == other.shape else None,
    )


def _entrance(passes: Passes, regions: Sequence[Region]) -> Seen | None:
    """The call, in inference mode, of the head's first layer that has weights."""
    calm = {seen.path: seen for seen in passes.inference}
    for layer, region in zip(passes.layers, regions, strict=True):
        if region == "head" and layer.weights and not layer.composite and layer.path in calm:
            return calm[layer.path] if calm[layer.path].inputs else None
    return None


def _alone(passes: Passes, regions: Sequence[Region], rows: Sequence[int]) -> list[Seen]:
    """Of these layers those of the backbone behind its first kernel, as inference mode calls them."""
    calm = {seen.path: seen for seen in passes.inference}
    first = next((row for row, layer in enumerate(passes.layers) if _has_kernel(layer)), 0)
    return [
        calm[layer.path]
        for row, layer in enumerate(passes.layers)
        if row in rows and row > first and regions[row] == "backbone" and not layer.composite and layer.path in calm
    ]


def _has_kernel(layer: LayerTrace) -> bool:
    return any(len(shape) > 1 for shape in layer.weights)


def _hands_on(seen: Seen) -> bool:
    """Whether the output is the input, but for its shape: dropout in inference mode, a Flatten."""
    if len(seen.inputs) != 1 or len(seen.outputs) != 1:
        return False
    received, gave = (np.asarray(each) for each in (seen.inputs[0], seen.outputs[0]))
    return received.size == gave.size and np.array_equal(received.ravel(), gave.ravel())


def trace_shared(bottleneck: Arm, step: Step, frozen: Arm, other: Step) -> SharedTrace:
    """Variables that are one object in both arms, and which of them either arm's training step moved.

    Args:
        bottleneck: The bottleneck arm.
        step: Its training step.
        frozen: The frozen arm.
        other: Its training step.
    """
    held = {id(variable) for model in bottleneck.network for variable in model.variables if not is_seed(variable)}
    owners = owners_of(frozen.model)
    both = {
        id(variable): f"{owners[id(variable)][0]}/{variable.name}"
        for variable in frozen.model.variables
        if id(variable) in held and id(variable) in owners
    }
    return SharedTrace(
        variables=tuple(both.values()),
        moved_by_bottleneck=tuple(path for key, path in both.items() if step.change.get(key, 0.0) != 0),
        moved_by_frozen=tuple(path for key, path in both.items() if other.change.get(key, 0.0) != 0),
    )
