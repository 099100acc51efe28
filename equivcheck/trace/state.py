"""Leaves a model as it was found: every variable, seed-generator state, metric and optimizer slot."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np
from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute  # no public reader
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

from equivcheck.trace.memory import put_back, values_of


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
    with restored([variable for model in models for variable in variables_of(model)]):
        yield


@contextmanager
def restored(variables: Sequence[keras.Variable]) -> Iterator[None]:
    """Restores variables on leaving, also after an exception; and Keras' own generator, which all models share."""
    shared = get_global_attribute(GLOBAL_SEED_GENERATOR)
    seeds = [shared.state] if shared is not None else []
    own = [*variables, *seeds]
    kept = values_of(own)
    try:
        yield
    finally:
        put_back(own, kept)


@contextmanager
def unmoved_generators() -> Iterator[None]:
    """Puts back what every program shares: Python's and NumPy's generators, and Keras' if it was not there before.

    Keras seeds what has no seed from Python's, so one draw more would change the seed of the next layer.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  (the one that others use)
    existed = get_global_attribute(GLOBAL_SEED_GENERATOR) is not None
    try:
        with restored([]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        if not existed:
            set_global_attribute(GLOBAL_SEED_GENERATOR, None)


def _is_built(model: keras.Model) -> bool:
    return all(layer.built for layer in model._flatten_layers())  # noqa: SLF001  (a model's own flag may run ahead)
