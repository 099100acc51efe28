"""What a trained arm answers: on training samples in both modes, and on validation samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from equivcheck.evidence import Outcome
from equivcheck.measured import Curve
from equivcheck.trace.labels import class_index
from equivcheck.trace.observed import Observed
from equivcheck.trace.state import restored, unmoved_generators, variables_of
from equivcheck.trace.walk import Walk

#: Samples of each split that are run: enough to tell accuracies five points apart (standard error 2 points), few
#: enough to cost less than an epoch.
MOST_SAMPLES = 512

#: Batches of each split that are run: where fit takes single samples, each call costs as much as a batch.
_MOST_BATCHES = 64

#: Samples that are run at once in inference mode.
_AT_ONCE = 32

#: Batches from which on a model is traced: that takes as long as so many batches layer by layer.
_TRACED_FROM = 8


def measure_outcome(model: keras.Model, observed: Observed, curves: Sequence[Curve]) -> Outcome | None:
    """Runs a trained model on its own batches; every variable and generator is as it was afterwards.

    Args:
        model: The trained model.
        observed: The arm as it was measured before training, with its samples.
        curves: What ``fit`` told.

    Returns:
        None where the model does not answer one class per sample, or NaN.
    """
    with unmoved_generators(), restored(variables_of(model)):
        fitted = _answers(model, observed.train, training=True)
        evaluated = _answers(model, observed.train, training=False)
        validated = None if observed.validation is None else _answers(model, observed.validation, training=False)
    if fitted is None or evaluated is None:
        return None
    labels = evaluated.labels
    values = {curve.metric: curve.values for curve in curves}
    return Outcome(
        epochs=max(map(len, values.values()), default=0),
        reported=_last(values.get("accuracy", ())),
        validation=_last(values.get("val_accuracy", ())),
        samples=len(labels),
        in_inference=float(np.mean(evaluated.answers == labels)),
        in_training=float(np.mean(fitted.answers == labels)),
        predicted=None if validated is None else np.bincount(validated.answers),
        actual=None if validated is None else np.bincount(validated.labels),
        constant=float(np.bincount(labels).max() / len(labels)),
    )


class _Answers(NamedTuple):
    """Class indices of the samples that were run: as the model answers, and as their labels say."""

    answers: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]


def _answers(model: keras.Model, walked: Walk, *, training: bool) -> _Answers | None:
    """Answers for the first samples; None where samples were not kept or the outputs are no finite scores."""
    batches = _first_batches(walked)
    rows = np.concatenate(batches)
    if (rows < 0).any():
        return None
    if not training:  # a sample's answer does not depend on its mates then
        batches = np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE))
    answers: list[npt.NDArray[np.int64]] = []
    run = partial(model, training=training)
    if len(batches) >= _TRACED_FROM and not model.run_eagerly:
        run = tf.function(run, autograph=False, reduce_retracing=True)
    for batch in batches:
        outputs = np.asarray(run(keras.ops.convert_to_tensor(walked.x[batch])))
        # One row of scores a sample; NaN is a broken training and no answer.
        if outputs.ndim != 2 or not np.isfinite(outputs).all():  # noqa: PLR2004
            return None
        answers.append(_classes_of(outputs))
    return _Answers(np.concatenate(answers), class_index(walked.y, walked.outputs)[: len(rows)])


def _first_batches(walked: Walk) -> list[npt.NDArray[np.int64]]:
    """Rows of the first batches, as the iterator gave them."""
    sizes = walked.order.batches[0]
    ends = np.cumsum(sizes)
    enough = int(np.searchsorted(ends, MOST_SAMPLES)) + 1
    kept = min(len(sizes), enough, _MOST_BATCHES)
    return np.split(walked.labelled[: ends[kept - 1]], ends[: kept - 1])


def _classes_of(outputs: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """The class with the highest score; for a single output, the side of one half, or of zero for logits."""
    if outputs.shape[1] > 1:
        return np.asarray(outputs.argmax(axis=1), np.int64)
    probabilities = bool(((outputs >= 0) & (outputs <= 1)).all())
    return np.asarray(outputs[:, 0] > (0.5 if probabilities else 0.0), np.int64)


def _last(values: Sequence[float]) -> float | None:
    return values[-1] if values else None
