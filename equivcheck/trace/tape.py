"""Keeps an eager step from computing gradients that nobody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras


@contextmanager
def recording_trained(model: keras.Model) -> Iterator[None]:
    """Gradient tapes inside record only what the model trains.

    Keras freezes a variable without telling TensorFlow, whose tapes go on watching it. In a graph the gradients of a
    frozen backbone are pruned, but an eager step computes them all and throws them away: most of its time, and every
    activation is held until then.

    A model with a ``train_step`` or with layers of the user's own is left as it is: they may ask for any gradient.
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
    return (
        type(model).train_step is keras.Model.train_step
        and "train_step" not in vars(model)
        and all(type(layer).__module__.startswith(("keras.", "equivcheck.")) for layer in model._flatten_layers())  # noqa: SLF001
        and not any(isinstance(layer, keras.layers.Lambda) for layer in model._flatten_layers())  # noqa: SLF001
    )
