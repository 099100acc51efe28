"""Leaves a model as it was found: every variable, seed-generator state, metric and optimizer slot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np


def variables_of(model: keras.Model) -> list[keras.Variable]:
    """Every variable that ``fit`` could change: weights, statistics, seed states, metrics, optimizer slots."""
    found = [*model.variables, *model.metrics_variables]
    if getattr(model, "optimizer", None) is not None:
        found += model.optimizer.variables
    return list({id(variable): variable for variable in found}.values())


@contextmanager
def undisturbed(*models: keras.Model) -> Iterator[None]:
    """Restores every variable of the models on leaving, also after an exception.

    Optimizers are built first, because a slot that does not exist yet could not be restored; but not before their
    model is, whose variables they would not know.
    """
    for model in models:
        if getattr(model, "optimizer", None) is not None and not model.optimizer.built and _is_built(model):
            model.optimizer.build(model.trainable_variables)
    kept = [(variable, np.array(variable)) for model in models for variable in variables_of(model)]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


def _is_built(model: keras.Model) -> bool:
    return all(layer.built for layer in model._flatten_layers())  # noqa: SLF001  (a model's own flag may run ahead)
