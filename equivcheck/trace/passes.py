"""The probe samples through one arm: once as ``predict`` runs it and once as ``fit`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm
from equivcheck.evidence import LayerTrace, Region
from equivcheck.trace.hooks import layers_by_path
from equivcheck.trace.layers import Seen, watch
from equivcheck.trace.step import Step, flag, flags_of


@dataclass(frozen=True, slots=True)
class Passes:
    """One arm's layer calls on the probe samples.

    Attributes:
        inference: As ``predict`` runs them.
        fit: As ``fit`` runs them. The bottleneck arm's backbone is run by ``predict`` before ``fit``, so there the
            calls are those of ``inference``.
        layers: What each call is and how it behaves, in the order of ``fit``.
        images: What the first layer was fed.
    """

    inference: tuple[Seen, ...]
    fit: tuple[Seen, ...]
    layers: tuple[LayerTrace, ...]
    images: npt.NDArray[Any] | None


def passes_of_bottleneck(
    arm: Arm, step: Step, images: npt.NDArray[Any] | None, features: npt.NDArray[Any], labels: npt.NDArray[Any] | None
) -> Passes:
    """Backbone by ``predict``, head by ``fit`` on the features that were stored.

    Args:
        arm: The bottleneck arm.
        step: Its training step.
        images: ``(p, height, width, channels)`` probe samples as fed to the backbone; None where unknown.
        features: ``(p, ...)`` their stored features.
        labels: ``(p, ...)`` their labels, for what ``evaluate`` passes on.
    """
    calm: tuple[Seen, ...] = ()
    if arm.extractor is not None and images is not None:
        calm, _ = _predict(arm.extractor, images, prefix=f"{arm.extractor.name}/")
    prefix = f"{arm.model.name}/"
    head, head_flags = _predict(arm.model, features, prefix=prefix)
    fitted = _fit(arm.model, features, prefix=prefix)
    evaluated = _evaluate_flags(arm.model, features, labels)
    layers = [_layer(seen, "backbone", {}, {}, {seen.path: False}, "") for seen in calm]
    layers += [_layer(seen, "head", step.flags, evaluated, head_flags, prefix) for seen in fitted]
    return Passes((*calm, *head), (*calm, *fitted), tuple(layers), images)


def passes_of_frozen(arm: Arm, step: Step, images: npt.NDArray[Any], labels: npt.NDArray[Any] | None) -> Passes:
    """Backbone and head by ``predict`` and by ``fit``; arguments as for the other arm."""
    calm, predicted = _predict(arm.model, images)
    fitted = _fit(arm.model, images)
    evaluated = _evaluate_flags(arm.model, images, labels)
    layers = tuple(_layer(seen, "backbone", step.flags, evaluated, predicted, "") for seen in fitted)
    return Passes(calm, fitted, layers, images)


def _predict(
    model: keras.Model, x: npt.NDArray[Any], prefix: str = ""
) -> tuple[tuple[Seen, ...], dict[str, bool | None]]:
    """What ``predict`` runs on a batch, without tracing it into a graph."""
    tensor = keras.ops.convert_to_tensor(x)
    seen, _ = watch(model, lambda: model.predict_step((tensor,)), prefix=prefix)
    return seen, {
        call.call.path.partition("#")[0]: bool(call.call.kwargs["training"])
        for call in seen
        if call.call.kwargs.get("training") is not None
    }


def _fit(model: keras.Model, x: npt.NDArray[Any], prefix: str = "") -> tuple[Seen, ...]:
    """The forward pass of ``train_step``."""
    tensor = keras.ops.convert_to_tensor(x)
    seen, _ = watch(model, lambda: model(tensor, training=True), prefix=prefix, behaviour=True)
    return seen


def _evaluate_flags(model: keras.Model, x: npt.NDArray[Any], labels: npt.NDArray[Any] | None) -> dict[str, bool | None]:
    if labels is None:
        return {}
    with flags_of(model) as flags:
        try:
            model.test_step((keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(labels)))
        except Exception:  # noqa: BLE001  (labels that the loss refuses are judged elsewhere, EQ302)
            return {}
    return flags


def _layer(
    seen: Seen,
    region: Region,
    fit: Mapping[str, bool | None],
    evaluate: Mapping[str, bool | None],
    predict: Mapping[str, bool | None],
    prefix: str,
) -> LayerTrace:
    layer, behaviour = seen.layer, seen.behaviour
    return LayerTrace(
        path=seen.path,
        kind=type(layer).__name__,
        region=region,
        shape=(None, *seen.outputs[0].shape[1:]) if seen.outputs else (),
        weights=tuple(tuple(variable.shape) for variable in layer.weights),
        trainable=bool(layer.trainable),
        flag=flag(seen.path.removeprefix(prefix), fit, evaluate, predict),
        stochastic=behaviour.stochastic,
        dropped=behaviour.dropped,
        noise=behaviour.noise,
        mode_gap=behaviour.mode_gap,
        batch_gap=behaviour.batch_gap,
        composite=len(layers_by_path(layer)) > 1,
    )


def rows_at(array: npt.NDArray[Any] | None, rows: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
    """The rows of an array that may be unknown."""
    return None if array is None else np.asarray(array)[np.asarray(rows)]
