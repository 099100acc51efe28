"""Does to a live arm of the user's own code what a repair's patch does to a spec, so that the repair can be tried."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any

import keras
import numpy as np

from equivcheck.arms.arm import Arm
from equivcheck.evidence import LayerTrace
from equivcheck.findings import Patch
from equivcheck.trace.hooks import layers_by_path


@dataclass(frozen=True, slots=True)
class Parts:
    """The layers of a frozen arm that compute something themselves, by the part of the network that they are.

    Attributes:
        backbone: Layers of the backbone.
        head: Layers of the head.
    """

    backbone: tuple[keras.Operation, ...]
    head: tuple[keras.Operation, ...]


#: Is given the frozen arm, its parts and the bottleneck arm; gives the arm to train. The model may be changed in place.
_Mend = Callable[[Arm, Parts, Arm], Arm]


def parts_of(model: keras.Model, measured: keras.Model, layers: Iterable[LayerTrace]) -> Parts:
    """Tells backbone from head in a model that was built anew.

    Args:
        model: The new model.
        measured: One that the same code built before; its layers may have other names.
        layers: What was measured on that one.
    """
    plain = {layer.path: layer.region for layer in layers if not layer.composite}
    regions = [plain.get(path) for path in layers_by_path(measured)]
    found = [*zip(layers_by_path(model).values(), regions, strict=True)]
    return Parts(
        tuple(layer for layer, region in found if region == "backbone"),
        tuple(layer for layer, region in found if region == "head"),
    )


def mendable(patch: Patch | None, arm: Arm, bottleneck: Arm) -> bool:
    """Whether all that a patch says of a spec can be done to the live frozen arm as well."""
    if patch is None or _mend_of(patch) is None:
        return False
    # Weights of single samples lie in the data, and data sets bring their batches with them.
    if "frozen.training.class_weight" in patch and arm.fit.get("class_weight") == bottleneck.fit.get("class_weight"):
        return False
    if any(key.startswith(f"frozen.{_OPTIMIZER}") for key in patch) and arm.fit.get("callbacks"):
        return False  # which may change the rate
    if "frozen.training.early_stopping" in patch and not all(map(_is_known, _callbacks(arm) + _callbacks(bottleneck))):
        return False  # which may end the training themselves
    if "frozen.training.shuffle" in patch and _shuffles(arm) == _shuffles(bottleneck):
        return False  # then the rows themselves lie in another order
    ordered = {"frozen.training.batch_size", "frozen.training.shuffle"} & patch.keys()
    return not ordered or (arm.train.feed.arrays and bottleneck.train.feed.arrays)


def _callbacks(arm: Arm) -> list[Any]:
    given = arm.fit.get("callbacks") or ()
    return list(given) if isinstance(given, list | tuple) else [given]


def _is_known(callback: Any) -> bool:
    """Whether it is Keras' own and runs no function of the user's."""
    own = type(callback).__module__.startswith("keras.") and isinstance(callback, keras.callbacks.Callback)
    return own and not isinstance(callback, keras.callbacks.LambdaCallback | keras.callbacks.CallbackList)


def _shuffles(arm: Arm) -> bool:
    return bool(arm.fit.get("shuffle", True))


def mended(arm: Arm, parts: Parts, bottleneck: Arm, patches: Iterable[Patch]) -> Arm:
    """The arm with the patches' equivalents applied; its model is the same object, with other flags.

    Args:
        arm: A frozen arm of the user's code, built for this.
        parts: What of it is backbone and what is head.
        bottleneck: The arm that it is to be like.
        patches: Those that are ``mendable``.
    """
    for patch in patches:
        mend = _mend_of(patch)
        assert mend is not None
        arm = mend(arm, parts, bottleneck)
    # A step that was traced before knows the old flags.
    arm.model.train_function = arm.model.test_function = arm.model.predict_function = None
    return arm


def _frozen(arm: Arm, parts: Parts, _: Arm) -> Arm:
    """The backbone frozen, layer by layer, and nothing of the head."""
    arm.model.trainable = True
    for layer in parts.backbone:
        layer.trainable = False
    return arm


def _in_inference_mode(arm: Arm, parts: Parts, _: Arm) -> Arm:
    """Whatever a layer of the backbone is told, it is told ``training=False``."""
    for layer in parts.backbone:
        if getattr(layer, "_call_has_training_arg", False):
            # Past Keras' attribute tracking: nothing about the layer changes but this one name.
            layer.__dict__["call"] = _without_training(layer.call)
    return arm


def _without_training(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def run(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **{**kwargs, "training": False})

    return run


def _with_argument(name: str, arm: Arm, _: Parts, bottleneck: Arm) -> Arm:
    """``fit`` given the same argument as in the other arm."""
    others = {key: value for key, value in arm.fit.items() if key != name}
    return replace(arm, fit=others | ({name: bottleneck.fit[name]} if name in bottleneck.fit else {}))


def _as_long(arm: Arm, _: Parts, bottleneck: Arm) -> Arm:
    """``fit`` from and to the same epoch as in the other arm, and stopped early by the same; other callbacks stay."""
    for name in ("epochs", "initial_epoch"):
        arm = _with_argument(name, arm, _, bottleneck)
    own, others = _callbacks(arm), _callbacks(bottleneck)
    kept = [each for each in own if not isinstance(each, keras.callbacks.EarlyStopping)]
    stops = [copy.deepcopy(each) for each in others if isinstance(each, keras.callbacks.EarlyStopping)]
    return replace(arm, fit={**arm.fit, "callbacks": [*kept, *stops]})


def _with_optimizer(arm: Arm, _: Parts, bottleneck: Arm) -> Arm:
    """An optimizer like the other arm's, its slots empty."""
    other = bottleneck.model.optimizer
    arm.model.optimizer = type(other).from_config(other.get_config())
    return arm


def _with_head_weights(arm: Arm, parts: Parts, bottleneck: Arm) -> Arm:
    """The weights that the other arm's head begins with; heads of other shapes are left as they are."""
    ours = [weight for layer in parts.head if isinstance(layer, keras.layers.Layer) for weight in layer.weights]
    theirs = bottleneck.model.weights
    if [weight.shape for weight in ours] == [weight.shape for weight in theirs]:
        for weight, other in zip(ours, theirs, strict=True):
            weight.assign(np.array(other))
    return arm


def _one_after_the_other(*mends: _Mend) -> _Mend:
    def mend(arm: Arm, parts: Parts, bottleneck: Arm) -> Arm:
        for each in mends:
            arm = each(arm, parts, bottleneck)
        return arm

    return mend


#: Both arms' trainings begin from one seed, so the same argument gives the same order.
_shuffled_alike = partial(_with_argument, "shuffle")
_LIMITS = ("clipnorm", "clipvalue", "global_clipnorm")
_OPTIMIZER = "training.optimizer"
#: Frozen layers keep to inference mode in Keras 3; other semantics are more than a mode.
_TODAY = "3"

#: What the patches of the checks come to: all keys that a patch sets in the frozen arm, without the arm. What is not
#: here (other data, another head, another network) only the user's own code can change.
_MENDS: Mapping[frozenset[str], _Mend] = {
    frozenset({"backbone.freeze"}): _frozen,
    frozenset({"backbone.freeze", "head"}): _frozen,  # of a head of which a part is frozen; another head is EQ506
    frozenset({"backbone.call"}): _in_inference_mode,
    frozenset({"keras_semantics"}): _in_inference_mode,
    frozenset({"keras_semantics", "backbone.freeze"}): _one_after_the_other(_frozen, _in_inference_mode),
    frozenset({"head", "head_weights", "training.seed"}): _with_head_weights,
    frozenset({_OPTIMIZER}): _with_optimizer,
    frozenset({f"{_OPTIMIZER}.learning_rate"}): _with_optimizer,
    frozenset(f"{_OPTIMIZER}.{limit}" for limit in _LIMITS): _with_optimizer,
    frozenset({"training.batch_size"}): partial(_with_argument, "batch_size"),
    frozenset({"training.class_weight"}): partial(_with_argument, "class_weight"),
    frozenset({"training.epochs", "training.early_stopping"}): _as_long,
    frozenset({"training.shuffle", "data.train"}): _shuffled_alike,
    frozenset({"training.shuffle", "training.samples_per_epoch"}): _shuffled_alike,
    frozenset({"training.shuffle", "data.train", "training.seed", "training.samples_per_epoch"}): _shuffled_alike,
}


def _mend_of(patch: Patch) -> _Mend | None:
    keys = {key.removeprefix("frozen.") for key in patch if key.startswith("frozen.")}
    if len(keys) < len(patch) or patch.get("frozen.keras_semantics", _TODAY) != _TODAY:
        return None
    return _MENDS.get(frozenset(keys))
