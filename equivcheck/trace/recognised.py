"""Samples that are known by their features, where the images behind the stored ones are not given.

A bottleneck arm from a user's code may come with features and labels only. What the frozen network makes of an image
in inference is then looked up among the stored rows: equal features show the same image, so both labels of it are
known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.diff.nearest import rows_alike
from equivcheck.diff.shared_labels import Labels
from equivcheck.trace.layers import watch
from equivcheck.trace.observed import Observed, probes_of
from equivcheck.trace.state import undisturbed
from equivcheck.trace.walk import Walk

#: Images of a split that are looked up, spread over it: enough to tell an order that was shuffled, by a cost that does
#: not grow with the split.
ROWS = 64


def recognise(bottleneck: Observed, frozen: Observed) -> Mapping[str, tuple[Labels, Labels]]:
    """Both class indices of the samples that the stored features show to be the same.

    Args:
        bottleneck: Head on stored features.
        frozen: Backbone and head in one model.

    Returns:
        By split, ``training`` and ``validation``; a split is missing where less than half of its images were found,
        because augmentation, preprocessing or weights make other features of them.
    """
    splits = {"training": (bottleneck.train, frozen.train), "validation": (bottleneck.validation, frozen.validation)}
    with undisturbed(frozen.arm.model):
        return {
            split: found
            for split, (stored, shown) in splits.items()
            if stored is not None
            and shown is not None
            and (found := _recognised(frozen.arm.model, stored, shown)) is not None
        }


def _recognised(model: keras.Model, stored: Walk, shown: Walk) -> tuple[Labels, Labels] | None:
    ours, theirs = stored.order.by_sample(), shown.order.by_sample()
    if not ours or not theirs:
        return None
    known = np.array(sorted(ours))
    features = stored.x[known]
    rows = np.array(sorted(theirs))[np.linspace(0, len(theirs) - 1, min(ROWS, len(theirs))).astype(int)]
    pairs: list[tuple[int, int]] = []
    layer, step = "", probes_of(model)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        alike = _alike(model, shown.x[some], features, only=layer)
        if not start:
            # The cut is the layer whose output is what was stored; of several that hand it on, any.
            layer = max(alike, key=lambda path: sum(len(found) > 0 for found in alike[path]), default="")
        for row, found in zip(some, alike.get(layer, ()), strict=False):
            # Rows that hold the same features and other labels tell nothing.
            if len(labels := {ours[int(known[place])] for place in found}) == 1:
                pairs.append((labels.pop(), theirs[int(row)]))
        if 2 * len(pairs) < min(start + step, len(rows)):
            return None
    mine, other = np.array(pairs, np.int64).T
    return mine, other


def _alike(model: keras.Model, images: npt.NDArray[Any], stored: npt.NDArray[Any], only: str) -> Mapping[str, Any]:
    """By path of the layers whose output has the size of a stored row: for each image the rows that hold it."""
    tensor = keras.ops.convert_to_tensor(images)
    seen, _ = watch(model, lambda: model.predict_step((tensor,)))
    size = int(np.prod(stored.shape[1:]))
    given = {call.path: np.asarray(call.outputs[0]) for call in seen if call.outputs and only in {"", call.path}}
    return {
        path: rows_alike(output, stored)
        for path, output in given.items()
        if output.shape[:1] == images.shape[:1] and output.size == len(images) * size
    }
