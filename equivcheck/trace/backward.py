"""One real ``train_step`` in two halves: what it computes, and what its optimizer makes of the gradients."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from equivcheck.trace.hooks import LayerCall, hooked
from equivcheck.trace.scale import MOST_SKIPPED, scale_of, scales_loss
from equivcheck.trace.state import undisturbed
from equivcheck.trace.tape import recording_trained

#: Gradients and their variables, as one call of the optimizer gets them.
Call = tuple[list[Any], list[keras.Variable]]


@dataclass(frozen=True, slots=True)
class Backward:
    """The first half of a step.

    Attributes:
        features: What the head received; None where it was not asked for or not seen.
        outputs: What the model gave.
        calls: What the optimizer was to be handed, call by call; empty where the step does not use the model's.
        scale: What the optimizer scales the loss by, and with it the gradients.
        loss: The loss that the step reports; None where it reports none.
    """

    features: Any
    outputs: Any
    calls: tuple[Call, ...]
    scale: float
    loss: float | None = None

    @property
    def gradients(self) -> dict[int, Any]:
        """By ``id`` of the variable, scaled as they came."""
        return {id(variable): gradient for call in self.calls for gradient, variable in zip(*call, strict=True)}


def backward(
    model: keras.Model, data: tuple[Any, ...], *, head: Collection[str] = (), shape: tuple[int, ...] = ()
) -> Backward:
    """Runs ``train_step`` eagerly and keeps the gradients from the optimizer.

    Args:
        model: The compiled model.
        data: As ``train_step`` takes it.
        head: Paths of the layers of the head, whose input is asked for.
        shape: Shape of that input without its batch axis; the first of these layers that receives it is the entrance.
    """
    features: list[Any] = []
    outputs: list[Any] = []

    def note(call: LayerCall) -> Any:
        # The shape tells the head's first layer from a container that holds the backbone too.
        if not features and call.path in head and call.args and _shape(call.args[0]) == shape:
            features.append(call.args[0])
        outputs[:] = [call.run(*call.args, **call.kwargs)]
        return outputs[0]

    scale = scale_of(model)
    model.reset_metrics()  # the reported loss is a running mean
    with hooked(model, note), recording_trained(model), _held_back(model) as calls:
        logs = model.train_step(data)
    reported = logs.get("loss") if isinstance(logs, Mapping) else None
    return Backward(
        features=features[0] if features else None,
        outputs=keras.tree.flatten(outputs)[0],
        calls=tuple(calls),
        scale=scale,
        loss=None if reported is None else float(keras.ops.convert_to_numpy(reported)),
    )


def settle(model: keras.Model, data: tuple[Any, ...]) -> int:
    """Halves the loss scale, as the steps that training skips do, until the gradients are finite.

    Args:
        model: The compiled model, its optimizer built.
        data: As ``train_step`` takes it.

    Returns:
        How often it was halved; 0 without a loss scale. All other variables are as they were.
    """
    if not scales_loss(model):
        return 0
    for skipped in range(MOST_SKIPPED):
        with undisturbed(model):
            step = backward(model, data)
        if all(_finite(gradient) for gradients, _ in step.calls for gradient in gradients):
            return skipped
        model.optimizer.dynamic_scale.assign(model.optimizer.dynamic_scale / 2)
    return MOST_SKIPPED


def _finite(gradient: Any) -> bool:
    return gradient is None or bool(keras.ops.all(keras.ops.isfinite(gradient)))


def hand_over(model: keras.Model, step: Backward, replaced: Mapping[int, Any]) -> None:
    """The second half: the optimizer gets its gradients, some of them others than those that were computed.

    Args:
        model: The model that took the step.
        step: The first half.
        replaced: Gradients by ``id`` of the variable, scaled as this optimizer expects them.
    """
    for gradients, variables in step.calls:
        chosen = [replaced.get(id(variable), gradient) for gradient, variable in zip(gradients, variables, strict=True)]
        model.optimizer.apply(chosen, variables)


@contextmanager
def _held_back(model: keras.Model) -> Iterator[list[Call]]:
    """Stands in for ``apply`` of the live optimizer, through which ``apply_gradients`` goes too."""
    calls: list[Call] = []
    # Past Keras' attribute tracking: nothing about the optimizer changes but this one name.
    names = model.optimizer.__dict__
    own = {"apply": names["apply"]} if "apply" in names else {}

    def apply(grads: Any, trainable_variables: Any = None) -> None:
        calls.append((list(grads), list(trainable_variables or model.trainable_variables)))

    try:
        names["apply"] = apply
        yield calls
    finally:
        del names["apply"]
        names.update(own)


def _shape(tensor: Any) -> tuple[int, ...] | None:
    return tuple(tensor.shape)[1:] if keras.ops.is_tensor(tensor) and len(tensor.shape) else None
