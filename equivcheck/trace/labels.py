"""Labels as the loss meets them: what the loss prefers is asked of the loss itself."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.evidence import Encoding, LabelTrace
from equivcheck.trace.state import undisturbed

#: Classes that are asked about; each costs as many losses as there are classes asked about.
MOST_CLASSES = 8
#: A confident prediction: this much for one output, the rest shared by the others.
CONFIDENT = 0.9
#: Losses closer than this, relative to the largest, prefer neither prediction: rounding of a mean of a few float32.
TIE = 1e-5


def trace_labels(
    model: keras.Model,
    labels: npt.NDArray[Any],
    *,
    outputs: int,
    probes: npt.NDArray[Any] | None,
    predictions: npt.NDArray[Any] | None,
) -> LabelTrace:
    """Measures the pair of labels and loss.

    Args:
        model: The compiled model.
        labels: ``(n, ...)`` as its iterator yielded them.
        outputs: Units of the model's last layer.
        probes: ``(p, ...)`` labels of the probe samples that both arms share.
        predictions: ``(p, outputs)`` one set of predictions for those samples, the same for both arms.
    """
    index = class_index(labels, outputs)
    failure, preferred = None, {}
    per_sample = None
    with undisturbed(model):
        try:
            _ask_about_a_batch(model, labels, outputs)
            preferred = _preferred(model, labels, index, outputs)
            if probes is not None and predictions is not None and predictions.shape[-1] == outputs:
                per_sample = np.array([loss_of(model, probes[[row]], predictions[[row]]) for row in range(len(probes))])
        except Exception as error:  # noqa: BLE001  (whatever the loss raises is the measurement)
            failure = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return LabelTrace(
        shape=(None, *labels.shape[1:]),
        dtype=str(labels.dtype),
        encoding=encoding_of(labels, outputs),
        loss=_name_of(model.loss),
        outputs=outputs,
        failure=failure,
        preferred=preferred,
        per_sample=per_sample,
    )


def count_outputs(model: keras.Model, x: npt.NDArray[Any]) -> int:
    """Units of a model's last layer; a model that declares no shape is run on one sample, which also builds it."""
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple):
        with undisturbed(model):
            shape = keras.tree.flatten(model.predict_step((keras.ops.convert_to_tensor(x[:1]),)))[0].shape
    return int(shape[-1])


def encoding_of(labels: npt.NDArray[Any], outputs: int) -> Encoding:
    """Reads the encoding off the values."""
    if labels.ndim == 2 and labels.shape[1] > 1:  # noqa: PLR2004
        ones = np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()
        return "one_hot" if ones else "other"
    whole = bool(np.equal(np.mod(labels, 1), 0).all()) if labels.size else True
    if outputs == 1 and np.isin(labels, (0, 1)).all():
        return "binary"
    return "sparse" if whole else "other"


def class_index(labels: npt.NDArray[Any], outputs: int) -> npt.NDArray[np.int64]:
    """``(n,)`` class index that each label stands for."""
    if encoding_of(labels, outputs) in {"one_hot", "other"} and labels.ndim > 1 and labels.shape[-1] > 1:
        found: npt.NDArray[np.int64] = labels.reshape(len(labels), -1).argmax(axis=1)
        return found
    return labels.reshape(len(labels), -1)[:, 0].astype(np.int64)


def _ask_about_a_batch(model: keras.Model, labels: npt.NDArray[Any], outputs: int) -> None:
    """Lets the loss raise on a batch as ``fit`` would give it.

    Labels of shape (1,) are stretched over the outputs without a word, and so are (n,) over n outputs: so neither one
    sample nor as many as there are outputs would tell.
    """
    batch = labels[: outputs + 1]
    loss_of(model, batch, np.full((len(batch), outputs), 1 / outputs, np.float32))


def _preferred(
    model: keras.Model, labels: npt.NDArray[Any], index: npt.NDArray[np.int64], outputs: int
) -> dict[int, int]:
    """For each class the class whose confident prediction the loss rates best; -1 where it rates several alike."""
    classes = [int(found) for found in np.unique(index)][:MOST_CLASSES]
    candidates = [0, 1] if outputs == 1 else [found for found in classes if 0 <= found < outputs]
    preferred = {}
    for known in classes:
        label = labels[index == known][:1]
        losses = np.array([loss_of(model, label, _confident(candidate, outputs)) for candidate in candidates])
        best = int(losses.argmin())
        others = np.delete(losses, best)
        clear = others.size > 0 and bool((others - losses[best] > TIE * np.abs(losses).max()).all())
        preferred[known] = candidates[best] if clear else -1
    return preferred


def _confident(output: int, outputs: int) -> npt.NDArray[np.float32]:
    if outputs == 1:
        return np.array([[CONFIDENT if output else 1 - CONFIDENT]], np.float32)
    prediction = np.full((1, outputs), (1 - CONFIDENT) / (outputs - 1), np.float32)
    prediction[0, output] = CONFIDENT
    return prediction


def loss_of(model: keras.Model, label: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> float:
    """The compiled loss of one sample, without the penalties that do not depend on it."""
    y, y_pred = keras.ops.convert_to_tensor(label), keras.ops.convert_to_tensor(prediction)
    if type(model).compute_loss is keras.Model.compute_loss and model._compile_loss is not None:  # noqa: SLF001
        return float(model._compile_loss(y, y_pred))  # noqa: SLF001  (a penalty on each of hundreds of kernels takes long)
    penalties = float(sum(float(loss) for loss in model.losses))
    return float(model.compute_loss(x=None, y=y, y_pred=y_pred)) - penalties


def _name_of(loss: Any) -> str:
    if isinstance(loss, str):
        return loss
    name = getattr(loss, "name", None) or getattr(loss, "__name__", None) or type(loss).__name__
    return f"{name}(from_logits=True)" if getattr(loss, "from_logits", False) else str(name)
