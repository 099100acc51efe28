"""Two epochs of each real iterator, training and validation: order, labels and the identity of every sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm, Split
from equivcheck.arms.user_code import user_code
from equivcheck.diff.identity import match_ids, match_images
from equivcheck.diff.views import in_order
from equivcheck.errors import InconclusiveError, UserCodeError
from equivcheck.evidence import OrderTrace
from equivcheck.trace.augmented import match_changed
from equivcheck.trace.labels import class_index, count_outputs
from equivcheck.trace.order import Batch, number_samples, record

#: Samples whose images are compared to see whether equal ids mean equal samples.
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Walk:
    """One split of one arm, as its iterator gave it.

    Attributes:
        order: What came when.
        x: ``(n, ...)`` what ``fit`` is given, by row of the split.
        y: ``(m, ...)`` labels of one sample for each entry of ``labelled``.
        labelled: Rows of the split that ``y`` belongs to.
        images: ``(n, height, width, channels)`` as fed to the backbone, by row; None where unknown.
        raw: ``(n, height, width, channels)`` pixels in [0, 255], by row; None where unknown.
        outputs: Units of the model's last layer.
    """

    order: OrderTrace
    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    labelled: npt.NDArray[np.int64]
    images: npt.NDArray[Any] | None
    raw: npt.NDArray[Any] | None
    outputs: int

    def labels_of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """``y`` of these rows, as yielded; None where one of them never came."""
        place = {int(row): index for index, row in enumerate(self.labelled)}
        wanted = [place.get(int(row), -1) for row in rows]
        return None if -1 in wanted else self.y[wanted]


def walk(arm: Arm) -> tuple[Walk, Walk | None]:
    """Lets ``fit`` pull both splits and writes down what came: training, and validation where there is any.

    Raises:
        UserCodeError: A generator or data set of the user's raised, or gave nothing.
    """
    recorded = record(arm)
    train = _walked(arm, arm.train, recorded.train, "training")
    return train, None if arm.validation is None else _walked(arm, arm.validation, recorded.validation, "validation")


def _walked(arm: Arm, split: Split, passes: Sequence[Sequence[Batch]], which: str) -> Walk:
    if not passes or not all(passes):
        message = f"the {which} data of the {arm.name} arm gave no batch"
        message += f" in epoch {[*map(bool, passes), False].index(False) + 1}" if passes and passes[0] else ""
        raise UserCodeError(f"{arm.made_by}: {message}") if arm.made_by is not None else InconclusiveError(message)
    known = split.feed.rows
    numbers = number_samples(known, passes)
    x = known if known is not None else _rows(passes, numbers)
    images = split.images if split.images is not None else x if arm.extractor is None and x.ndim == 4 else None  # noqa: PLR2004
    with user_code(arm.made_by, f"running the {arm.name} arm's model"):
        outputs = count_outputs(arm.model, x)
    y = np.concatenate([batch.labels for batch in passes[0]])
    order = OrderTrace(
        samples=tuple(numbers),
        labels=tuple(np.concatenate([class_index(batch.labels, outputs) for batch in batches]) for batches in passes),
        batches=tuple(tuple(len(batch.marks) for batch in batches) for batches in passes),
        available=len(split.samples) if split.samples is not None else len(x) if known is not None else None,
        weights=_weights(passes),
        label_columns=int(np.prod(y.shape[1:], dtype=int)),
        ids=tuple(mark for batch in passes[0] for mark in batch.marks),
        classes=split.samples.classes if split.samples is not None else (),
    )
    raw = split.samples.pixels if split.samples is not None else None
    return Walk(order, x, y, numbers[0], images, raw, outputs)


def _weights(passes: Sequence[Sequence[Batch]]) -> tuple[npt.NDArray[np.float64], ...] | None:
    """Per pass the weight of each sample; 1 where a batch said nothing."""
    if all(batch.weights is None for batches in passes for batch in batches):
        return None
    return tuple(
        np.concatenate([np.ones(len(batch.marks)) if batch.weights is None else batch.weights for batch in batches])
        for batches in passes
    )


def _rows(passes: Sequence[Sequence[Batch]], numbers: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[Any]:
    """The samples themselves by number, for data that does not lie in memory; a later pass may show others."""
    everything = np.concatenate([batch.x for batches in passes for batch in batches if batch.x is not None])
    order = np.concatenate(numbers)
    rows = np.empty((int(order.max()) + 1, *everything.shape[1:]), everything.dtype)
    rows[order] = everything
    return rows


def match(bottleneck: Split, left: Walk, frozen: Split, right: Walk) -> npt.NDArray[np.int64] | None:
    """For each row of the frozen arm's split the row of the same sample in the bottleneck arm's, or -1.

    By id where both come from a spec, else by what the images show; None where the samples cannot be told.
    """
    if bottleneck.samples is not None and frozen.samples is not None:
        rows = match_ids(bottleneck.samples.ids[: len(left.x)], frozen.samples.ids[: len(right.x)])
        if (rows >= 0).any() and _show_the_same(left, right, rows):
            return rows
    reference = left.raw if left.raw is not None else left.images
    other = right.raw if right.raw is not None else right.images
    if reference is None or other is None or reference.ndim != 4 or other.ndim != 4:  # noqa: PLR2004
        return None
    found = match_changed(reference, left.order, other, right.order, match_images(reference, other))
    return found if found is not None and (found >= 0).any() else None


def _show_the_same(left: Walk, right: Walk, rows: npt.NDArray[np.int64]) -> bool:
    """Ids may agree by accident (row numbers of two archives): equal ids must show the same image."""
    assert left.raw is not None
    assert right.raw is not None
    found = np.flatnonzero(rows >= 0)[:_SHOWN]
    pictures = left.raw[rows[found]], right.raw[found]
    if (match_images(*pictures) >= 0).mean() > 0.5:  # noqa: PLR2004
        return True
    # Read at another size, or resized in another way: more like itself than like any other.
    return in_order(*pictures, np.zeros(len(found), np.int64), mirrored=False)


def renumbered(walked: Walk, numbers: npt.NDArray[np.int64], reference: int) -> OrderTrace:
    """The order in the other arm's sample numbers; samples that it lacks are numbered from ``reference`` on."""
    table = np.where(numbers >= 0, numbers, reference + np.arange(len(numbers)))
    samples = tuple(np.where(order >= 0, table[np.maximum(order, 0)], -1) for order in walked.order.samples)
    return replace(walked.order, samples=samples)
