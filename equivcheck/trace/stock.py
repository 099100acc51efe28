"""Whether a model is made of Keras' own parts, so that what Keras does with it is all that happens."""

from __future__ import annotations

from typing import Any

import keras

#: What a step is made of: with its own, what reaches the layers need not be what the data set gave.
_WITHIN = ("train_step", "test_step", "compute_loss", "_compute_loss", "compute_metrics", "__call__")


def has_plain_steps(model: keras.Model) -> bool:
    """Whether both steps hand the data to the model as they come, and only the model's output to the loss."""
    return not any(has_own(model, name) for name in _WITHIN)


def has_own(model: keras.Model, name: str) -> bool:
    """Whether a model has a method that is not Keras' own."""
    if name in vars(model):
        return True
    defined = next(kind for kind in type(model).__mro__ if name in vars(kind))
    return not defined.__module__.startswith("keras.")


def is_stock(model: keras.Model) -> bool:
    """Whether all that a model is made of is Keras' or ours, so that its configuration says all."""
    objects = [*model._flatten_layers(), model.optimizer, model.loss, *_metrics(model)]  # noqa: SLF001
    return all(
        isinstance(one, str) or type(one).__module__.partition(".")[0] in {"keras", "equivcheck"} for one in objects
    )


def _metrics(model: keras.Model) -> list[Any]:
    return [metric for compiled in model.metrics for metric in getattr(compiled, "metrics", [compiled])]
