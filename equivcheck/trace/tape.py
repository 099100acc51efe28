"""Keeps an eager step from computing gradients that nobody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from equivcheck.trace.stock import has_plain_steps, is_stock


@contextmanager
def recording_trained(model: keras.Model) -> Iterator[None]:
    """Gradient tapes inside record only what the model trains.

    Keras freezes a variable without telling TensorFlow, whose tapes go on watching it. In a graph the gradients of a
    frozen backbone are pruned, but an eager step computes them all and throws them away: most of its time, and every
    activation is held until then.

    A model of which a step, a layer or the loss is the user's own is left as it is: they may ask for any gradient.
    """
    trained = {id(variable) for variable in model.trainable_variables}
    frozen = [
        variable.value
        for variable in (model.variables if _asks_for_trained(model) else ())
        if id(variable) not in trained and variable.value.trainable
    ]
    for value in frozen:
        value._trainable = False  # noqa: SLF001  (set once, when a variable is made; no public way)
    try:
        yield
    finally:
        for value in frozen:
            value._trainable = True  # noqa: SLF001


def _asks_for_trained(model: keras.Model) -> bool:
    """Whether all that asks for gradients is Keras' own ``train_step``, which asks for those of what is trained."""
    lambdas = (isinstance(layer, keras.layers.Lambda) for layer in model._flatten_layers())  # noqa: SLF001
    return has_plain_steps(model) and is_stock(model) and not any(lambdas)
