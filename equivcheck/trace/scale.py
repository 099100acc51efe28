"""The loss scale of mixed precision: what it is, and the steps that it makes an optimizer skip."""

from __future__ import annotations

import keras

#: Keras begins at a scale of 2**15 and halves it at every step that it skips; behind 1 the scale is not to blame.
MOST_SKIPPED = 16


def scales_loss(model: keras.Model) -> bool:
    """Whether its optimizer skips a step whose gradients overflow, and halves the scale."""
    return isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


def scale_of(model: keras.Model) -> float:
    """What the optimizer scales the loss by just now."""
    return float(model.optimizer.scale_loss(1.0))
