"""The probe samples through one arm: once as ``predict`` runs it and once as ``fit`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy.typing as npt

from equivcheck.evidence import LayerTrace, Region
from equivcheck.measured import TrainingFlag
from equivcheck.trace.behaviour import Meter
from equivcheck.trace.floor import one_rounding
from equivcheck.trace.layers import Seen, watch
from equivcheck.trace.observed import Observed
from equivcheck.trace.plan import fact_of
from equivcheck.trace.settings import settings_of_layer


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


def passes_of_bottleneck(observed: Observed, images: npt.NDArray[Any] | None, features: npt.NDArray[Any]) -> Passes:
    """Backbone by ``predict``, head by ``fit`` on the features that were stored.

    Args:
        observed: The bottleneck arm.
        images: ``(p, height, width, channels)`` probe samples as fed to the backbone; None where unknown.
        features: ``(p, ...)`` their stored features.
    """
    arm = observed.arm
    calm: tuple[Seen, ...] = ()
    if arm.extractor is not None and images is not None:
        calm, _ = _predict(arm.extractor, images, prefix=f"{arm.extractor.name}/")
    prefix = f"{arm.model.name}/"
    head, predicted = _predict(arm.model, features, prefix=prefix)
    fitted = _fit(arm.model, features, prefix=prefix)
    layers = [_layer(seen, "backbone", TrainingFlag(predict=False)) for seen in calm]
    layers += [_layer(seen, "head", _flag(seen, observed, predicted)) for seen in fitted]
    return Passes((*calm, *head), (*calm, *fitted), tuple(layers), images)


def again_after_rounding(
    observed: Observed, images: npt.NDArray[Any] | None, features: npt.NDArray[Any]
) -> tuple[tuple[Seen, ...], tuple[Seen, ...]]:
    """The bottleneck arm's calls, inference and fit, when what it is fed is changed by one rounding.

    Where the backbone is known, the head is fed what the backbone makes of the changed images, so that a layer of the
    head has the rounding of all layers before it, as in the frozen arm.
    """
    arm, calm = observed.arm, tuple[Seen, ...]()
    moved = one_rounding(features)
    if arm.extractor is not None and images is not None:
        calm, _ = _predict(arm.extractor, one_rounding(images), prefix=f"{arm.extractor.name}/")
        if calm[-1].outputs[0].shape == features.shape:
            moved = calm[-1].outputs[0]
    prefix = f"{arm.model.name}/"
    head, _ = _predict(arm.model, moved, prefix=prefix)
    tensor = keras.ops.convert_to_tensor(moved)
    fitted, _ = watch(arm.model, lambda: arm.model(tensor, training=True), prefix=prefix)
    return (*calm, *head), (*calm, *fitted)


def passes_of_frozen(
    observed: Observed, images: npt.NDArray[Any], before_fit: Callable[[tuple[Seen, ...]], None]
) -> Passes:
    """Backbone and head by ``predict`` and by ``fit``; every layer is said to be the backbone's for now.

    Args:
        observed: The frozen arm.
        images: ``(p, height, width, channels)`` probe samples.
        before_fit: Is given the calls of ``predict``.
    """
    calm, predicted = _predict(observed.arm.model, images)
    before_fit(calm)
    fitted = _fit(observed.arm.model, images)
    layers = tuple(_layer(seen, "backbone", _flag(seen, observed, predicted)) for seen in fitted)
    return Passes(calm, fitted, layers, images)


def _predict(
    model: keras.Model, x: npt.NDArray[Any], prefix: str = ""
) -> tuple[tuple[Seen, ...], dict[str, bool | None]]:
    """What ``predict`` runs on a batch, without tracing it into a graph."""
    tensor = keras.ops.convert_to_tensor(x)
    seen, _ = watch(model, lambda: model.predict_step((tensor,)), prefix=prefix)
    return seen, {call.call.path.partition("#")[0]: call.flag for call in seen if call.flag is not None}


def _fit(model: keras.Model, x: npt.NDArray[Any], prefix: str = "") -> tuple[Seen, ...]:
    """The forward pass of ``train_step``."""
    tensor = keras.ops.convert_to_tensor(x)
    seen, _ = watch(model, lambda: model(tensor, training=True), prefix=prefix, measure=Meter())
    return seen


def _flag(seen: Seen, observed: Observed, predicted: Mapping[str, bool | None]) -> TrainingFlag:
    path = seen.call.path.partition("#")[0]
    # A model that was fitted before keeps its traced train function, which no hook sees; this pass is the same call.
    fit = observed.step.flags.get(path, seen.flag)
    return TrainingFlag(fit, observed.evaluate.get(path), predicted.get(path))


def _layer(seen: Seen, region: Region, flag: TrainingFlag) -> LayerTrace:
    fact, behaviour = fact_of(seen), seen.behaviour
    return LayerTrace(
        path=fact.path,
        kind=fact.kind,
        region=region,
        shape=fact.shape,
        weights=fact.weights,
        trainable=bool(getattr(seen.layer, "trainable", False)),  # a plain operation has no such flag
        flag=flag,
        stochastic=behaviour.stochastic,
        dropped=behaviour.dropped,
        noise=behaviour.noise,
        mode_gap=behaviour.mode_gap,
        batch_gap=behaviour.batch_gap,
        composite=fact.composite,
        dtype=str(seen.outputs[0].dtype) if seen.outputs else "",
        settings=settings_of_layer(seen.layer),
    )


def passes_of_extractor(extractor: keras.Model, images: npt.NDArray[Any]) -> Passes:
    """A backbone alone, by ``predict``, as features are extracted."""
    calm, _ = _predict(extractor, images, prefix=f"{extractor.name}/")
    layers = tuple(_layer(seen, "backbone", TrainingFlag(predict=False)) for seen in calm)
    return Passes(calm, calm, layers, images)


def passes_of_model(model: keras.Model, images: npt.NDArray[Any]) -> Passes:
    """A whole model by ``predict`` and by ``fit``, no step of which is known; every layer is the backbone's for now."""
    calm, predicted = _predict(model, images)
    fitted = _fit(model, images)
    layers = tuple(
        _layer(seen, "backbone", TrainingFlag(seen.flag, None, predicted.get(seen.path.partition("#")[0])))
        for seen in fitted
    )
    return Passes(calm, fitted, layers, images)
