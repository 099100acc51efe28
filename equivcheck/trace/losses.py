"""Loss and accuracy as an arm's own outputs meet them: what they are taken for, and what they give.

Keras goes back from the outputs of a softmax or sigmoid to the logits behind them where it still knows them, whatever
``from_logits`` says. So a flag proves nothing: the loss is asked, with tensors that carry what the live outputs carry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.evidence import Currency, LabelTrace
from equivcheck.trace.labels import CONFIDENT, TIE, class_index, loss_of
from equivcheck.trace.layers import Seen, weights_of
from equivcheck.trace.state import undisturbed

#: Classes that are asked about; each costs as many losses as there are, and one more.
MOST_CLASSES = 4
#: A prediction that favours one output without being sure: below one half, so that a threshold there decides otherwise.
UNDECIDED = 0.45
#: Samples of one batch that tell a sum from a mean.
_REPEATS = 4
#: How Keras marks a tensor that a softmax or sigmoid gave (``keras.src.backend.tensorflow.nn._get_logits``).
LOGITS = "_keras_logits"
#: What the last layer is fed as multiples of its own input: a softmax stays one.
_EXTREMES = (1.0, -100.0, 100.0)
#: Probabilities are kept this far from 0 and 1, as by Keras' own losses (``keras.config.epsilon``).
_EPSILON = 1e-7
#: Probabilities of all classes add up to 1 but for this, in half precision too (its rounding is 5e-4).
_SUMS_TO_ONE = 1e-2
_ACCURACIES = ("accuracy", "acc", "categorical_accuracy", "sparse_categorical_accuracy", "binary_accuracy")

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Asked:
    """One arm's loss, asked about predictions.

    Attributes:
        model: The compiled model.
        labels: One label as yielded for each class that is asked about, by class index.
        outputs: Units of the last layer.
        marked: Its live outputs carry the logits behind them.
        normalised: The loss rates all outputs together, as behind a softmax.
    """

    model: keras.Model
    labels: Mapping[int, npt.NDArray[Any]]
    outputs: int
    marked: bool
    normalised: bool

    def loss(self, known: int, prediction: Array, *, plain: bool = False) -> float:
        """Of one sample of a class; ``plain`` hides what the outputs carry."""
        tensor = keras.ops.convert_to_tensor(prediction)
        if self.marked and not plain:
            behind = _logit(prediction)
            if self.normalised:
                behind = np.log(np.clip(prediction, _EPSILON, 1.0))
            setattr(tensor, LOGITS, keras.ops.convert_to_tensor(behind))
        return loss_of(self.model, self.labels[known], tensor)


def with_losses(trace: LabelTrace, model: keras.Model, labels: npt.NDArray[Any], last: Seen | None) -> LabelTrace:
    """Adds what loss and accuracy make of the arm's own outputs; every variable is as it was afterwards.

    Args:
        trace: What is known of the labels.
        model: The compiled model.
        labels: ``(n, ...)`` as its iterator yielded them.
        last: The last layer's call.
    """
    if trace.failure is not None or not len(labels):
        return trace
    index = class_index(labels, trace.outputs)
    classes = [int(known) for known in np.unique(index) if known >= 0][:MOST_CLASSES]
    by_class = {known: labels[index == known][:1] for known in classes if known < max(2, trace.outputs)}
    if not by_class:
        return trace
    try:
        with undisturbed(model):
            gives, marked = (None, False) if last is None else _given(last)
            together = trace.outputs > 1 and _is_normalised(
                model, next(iter(by_class.values())), trace.outputs, marked=marked
            )
            asked = _Asked(model, by_class, trace.outputs, marked, together)
            takes = _takes(asked, plain=False)
            predictions = _predictions(asked)
            told = _as_taken(asked, predictions) if takes == "logits" else predictions
            accuracy, rule = _accuracy(asked, told if gives == "logits" else predictions)
            known = max(by_class)
            return replace(
                trace,
                gives=gives,
                takes=takes,
                asked_for=_takes(asked, plain=True),
                profile={
                    each: np.array([asked.loss(each, prediction[None]) for prediction in told]) for each in by_class
                },
                repeat_ratio=_repeat_ratio(asked, known, told[-1][None]),
                accuracy=accuracy,
                accuracy_rule=rule,
            )
    except Exception:  # noqa: BLE001  (a loss or metric of the user's own may need more than labels and predictions)
        return trace


def _given(last: Seen) -> tuple[Currency | None, bool]:
    """What the last layer makes of its own input and of much larger ones, and whether it marks it."""
    call = last.call
    found = []
    for factor in _EXTREMES:
        scaled = call.args[0] if factor == 1 else call.args[0] * factor
        found.append(keras.tree.flatten(call.run(scaled, *call.args[1:], **call.kwargs))[0])
    values = [np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in found]
    return _currency(values, has_weights=bool(weights_of(last.layer))), hasattr(found[0], LOGITS)


def _currency(values: list[npt.NDArray[np.float64]], *, has_weights: bool) -> Currency | None:
    """What the outputs are, the first being those that the model gives.

    Args:
        values: ``(n, outputs)`` of its own input, and of much larger ones.
        has_weights: The layer multiplies by weights, so that what comes out is made there and not handed on.
    """
    own = values[0]
    inside = [bool((each >= 0).all() and (each <= 1 + TIE).all()) for each in values]
    if all(inside):
        return "probabilities"
    if not inside[0] or has_weights:
        return "logits"
    # A layer that only hands on (a reshape behind the softmax) makes much larger outputs of much larger inputs.
    sums_to_one = own.shape[-1] > 1 and bool(np.abs(own.sum(axis=-1) - 1).max() <= _SUMS_TO_ONE)
    return "probabilities" if sums_to_one else None


def _is_normalised(model: keras.Model, label: npt.NDArray[Any], outputs: int, *, marked: bool) -> bool:
    """Whether a number added to all logits changes nothing."""
    losses = []
    for shift in (0.0, 1.0):
        tensor = logits = keras.ops.convert_to_tensor(np.linspace(-1.0, 1.0, outputs, dtype=np.float32)[None] + shift)
        if marked:
            tensor = keras.ops.full_like(logits, 1 / outputs)
            setattr(tensor, LOGITS, logits)
        losses.append(loss_of(model, label, tensor))
    return _same(*losses)


def _takes(asked: _Asked, *, plain: bool) -> Currency | None:
    """Told from predictions that are no probabilities: a loss of logits goes on falling, one of probabilities stops."""
    known = max(asked.labels)
    if asked.outputs == 1:
        one, right, wrong = np.ones((1, 1), np.float32), (1.0, 2.0), (-1.0, -2.0)
        if known == 0:
            right, wrong = (-1.0, -2.0), (2.0, 3.0)
        surer = [one * value for value in right]
        worse = [one * value for value in wrong]
    else:
        own = np.eye(asked.outputs, dtype=np.float32)[[known]]
        other = np.eye(asked.outputs, dtype=np.float32)[[(known + 1) % asked.outputs]]
        surer, worse = [own, 2 * own], [4 * other - own, 5 * other - 2 * own]
    first, second = (asked.loss(known, prediction, plain=plain) for prediction in surer)
    if second < first and not _same(first, second):
        return "logits"
    far, further = (asked.loss(known, prediction, plain=plain) for prediction in worse)
    return "probabilities" if _same(far, further) and far > first else None


def _predictions(asked: _Asked) -> Array:
    """``(classes + 1, outputs)`` a confident prediction of each class, and an undecided one."""
    if asked.outputs == 1:
        return np.array([[CONFIDENT if known else 1 - CONFIDENT] for known in (0, 1)] + [[UNDECIDED]], np.float32)
    rest = asked.outputs - 1
    rows = [(known, CONFIDENT) for known in asked.labels] + [(min(asked.labels), UNDECIDED)]
    return np.array(
        [[p if output == known else (1 - p) / rest for output in range(asked.outputs)] for known, p in rows], np.float32
    )


def _as_taken(asked: _Asked, probabilities: Array) -> Array:
    return np.log(probabilities) if asked.normalised else _logit(probabilities)


def _logit(probabilities: npt.NDArray[Any]) -> Array:
    kept = np.clip(probabilities, _EPSILON, 1 - _EPSILON).astype(np.float64)
    return np.asarray(np.log(kept) - np.log1p(-kept), np.float32)


def _repeat_ratio(asked: _Asked, known: int, prediction: Array) -> float | None:
    one = loss_of(asked.model, asked.labels[known], prediction)
    many = loss_of(
        asked.model, np.repeat(asked.labels[known], _REPEATS, axis=0), np.repeat(prediction, _REPEATS, axis=0)
    )
    return many / one if one else None


def _accuracy(asked: _Asked, predictions: Array) -> tuple[float | None, str]:
    """What the compiled accuracy makes of each prediction for each class."""
    labels = np.concatenate([np.repeat(label, len(predictions), axis=0) for label in asked.labels.values()])
    given = np.tile(predictions, (len(asked.labels), 1))
    asked.model.reset_metrics()
    results = asked.model.compute_metrics(
        x=None, y=keras.ops.convert_to_tensor(labels), y_pred=keras.ops.convert_to_tensor(given), sample_weight=None
    )
    name = next((name for name in _ACCURACIES if name in results), None)
    return (None, "") if name is None else (float(results[name]), _rule_of(asked.model, name))


def _rule_of(model: keras.Model, name: str) -> str:
    """The function that a metric of this name was resolved to."""
    for holder in model.metrics:
        for metric in getattr(holder, "metrics", [holder]):
            if metric.name == name or getattr(getattr(metric, "_fn", None), "__name__", None) == name:
                function = getattr(metric, "_fn", None)
                return str(getattr(function, "__name__", type(metric).__name__))
    return ""


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= TIE * max(abs(a), abs(b), TIE)
