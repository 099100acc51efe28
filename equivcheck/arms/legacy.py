"""How frozen BatchNormalization behaved in older Keras, as layers of today's.

Read in the sources of each version (``normalization.py`` of keras 1.2.2, 2.0.x, 2.1.2, 2.1.3 and 2.3.1):

==============  =========================  =================
Keras           normalises in ``fit`` with  moving statistics
==============  =========================  =================
1.x to 2.1.2    the batch                  updated
2.1.3 to 2.3.x  the batch                  kept when frozen
later           the moving statistics      kept when frozen
==============  =========================  =================

Discussed in keras issues 4762, 7085, 9214 and 9965.

Two things more were otherwise: "accuracy" beside binary_crossentropy was binary_accuracy for any number of outputs
(``training.py`` of keras 2.0 to 2.3.1; keras issue 10213), and the penalties on frozen weights counted in the loss
(``topology.py`` and ``network.py`` of the same, tf_keras to this day).
"""

from __future__ import annotations

from typing import Any

import keras

from equivcheck.errors import InputError

_UPDATES_KEPT_SINCE = (2, 1, 3)
_MODERN_SINCE = (2, 4)
_PENALTIES_OF_TRAINED_WEIGHTS_SINCE = (3,)


@keras.saving.register_keras_serializable(package="equivcheck")
class LegacyBatchNormalization(keras.layers.BatchNormalization):
    """BatchNormalization whose ``trainable`` flag does not choose the statistics, as before Keras 2.4.

    Args:
        updates_when_frozen: Whether the moving statistics follow the batches although the layer is frozen.
        kwargs: As for ``keras.layers.BatchNormalization``.
    """

    def __init__(self, *, updates_when_frozen: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.updates_when_frozen = updates_when_frozen

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Normalises with the batch's statistics whenever ``training`` is true."""
        if not training:
            return super().call(inputs, training=False, mask=mask)
        axes = [axis for axis in range(len(inputs.shape)) if axis != self.axis % len(inputs.shape)]
        mean, variance = keras.ops.moments(inputs, axes=axes)
        if self.trainable or self.updates_when_frozen:
            self.moving_mean.assign(self.moving_mean * self.momentum + mean * (1.0 - self.momentum))
            self.moving_variance.assign(self.moving_variance * self.momentum + variance * (1.0 - self.momentum))
        return keras.ops.batch_normalization(
            inputs, mean, variance, axis=self.axis, offset=self.beta, scale=self.gamma, epsilon=self.epsilon
        )

    def get_config(self) -> dict[str, Any]:
        """As the base class, and ``updates_when_frozen``."""
        return {**super().get_config(), "updates_when_frozen": self.updates_when_frozen}


def accuracy_of(version: str | None, loss: str) -> str | keras.metrics.Metric:
    """What ``metrics=["accuracy"]`` meant in the given Keras.

    Args:
        version: Such as ``"2.1"``; None for today's Keras.
        loss: Name of the compiled loss.
    """
    if _numbers(version) < _MODERN_SINCE and loss == "binary_crossentropy":
        return keras.metrics.BinaryAccuracy(name="accuracy")
    return "accuracy"


def model_class(version: str | None) -> type[keras.Model]:
    """The class whose ``losses`` are those of the given Keras."""
    return _CountingFrozenWeights if _numbers(version) < _PENALTIES_OF_TRAINED_WEIGHTS_SINCE else keras.Model


class _CountingFrozenWeights(keras.Model):
    """Adds the penalties on weights that are not trained to the loss, as before Keras 3."""

    @property
    def losses(self) -> list[Any]:
        """As the base class, and the penalty on each frozen weight."""
        frozen = [weight for weight in self.non_trainable_weights if weight.regularizer is not None]
        return [*super().losses, *(weight.regularizer(weight) for weight in frozen)]


def _numbers(version: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (version or "3").split("."))


def own_copy(network: keras.Model, version: str | None, precision: str = "float32") -> keras.Model:
    """A copy that shares nothing, as the given Keras would have run it.

    Args:
        network: A Functional or Sequential model.
        version: Such as ``"2.1"``; None for today's Keras.
        precision: Policy of all its layers; float32 leaves each layer its own.

    Returns:
        A clone with the same names and weights; for an old version its BatchNormalization layers are replaced.

    Raises:
        InputError: One of them cannot be reached to be replaced.
    """
    numbers = _numbers(version)
    old = numbers < _MODERN_SINCE

    def replaced(layer: keras.layers.Layer) -> keras.layers.Layer:
        policy = {} if precision == "float32" else {"dtype": precision}
        if old and isinstance(layer, keras.layers.BatchNormalization):
            return LegacyBatchNormalization.from_config(
                {**layer.get_config(), **policy, "updates_when_frozen": numbers < _UPDATES_KEPT_SINCE}
            )
        return layer.__class__.from_config({**layer.get_config(), **policy})

    clone = keras.models.clone_model(network, clone_function=replaced, recursive=True)
    clone.set_weights(network.get_weights())
    # The one way to every sub-layer, those of layers that are no models included.
    for layer in clone._flatten_layers():  # noqa: SLF001
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # what it computes with is derived from its weights when they are loaded
        if old and isinstance(layer, keras.layers.BatchNormalization) and type(layer) is not LegacyBatchNormalization:
            raise InputError(f"{layer.path} lies inside another layer and cannot be run as Keras {version} ran it")
    return clone
