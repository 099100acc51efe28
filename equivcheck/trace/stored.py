"""Stored features against the backbone that should have given them: some rows are computed again."""

from __future__ import annotations

import keras
import numpy as np

from equivcheck.arms.arm import Arm, Split
from equivcheck.arms.user_code import user_code
from equivcheck.diff.nearest import nearest_rows
from equivcheck.evidence import StoredTrace
from equivcheck.trace.state import undisturbed
from equivcheck.trace.walk import Walk

#: Rows that are computed again, spread over the split: enough to tell an order that was shuffled or shifted.
ROWS = 8


def trace_stored(arm: Arm, split: Split | None, walked: Walk | None) -> StoredTrace | None:
    """Runs the arm's own backbone on the images of a few rows, spread over the split from the first to the last.

    Args:
        arm: The bottleneck arm.
        split: One of its splits.
        walked: The same, as its iterator gave it.

    Returns:
        None where the backbone, the images or the stored rows are unknown, where the backbone has just been seen to
        give them, or where features were made into something of another size before they were stored.
    """
    if arm.extractor is None or walked is None or walked.images is None or walked.order.available is None:
        return None
    if split is not None and split.extracted:
        return None
    count = min(len(walked.images), len(walked.x))
    rows = np.linspace(0, count - 1, min(ROWS, count)).astype(int)
    images = walked.images[rows]
    with user_code(arm.made_by, "predict of the backbone"), undisturbed(arm.extractor):
        computed = arm.extractor.predict_step((keras.ops.convert_to_tensor(images),))
    if not keras.ops.is_tensor(computed):
        return None
    return nearest_rows(keras.ops.convert_to_numpy(computed), rows, walked.x)
