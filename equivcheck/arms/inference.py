"""A layer that keeps a network in inference mode, whatever ``fit`` asks for."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="equivcheck")
class InferenceMode(keras.layers.Layer):
    """Calls a network with ``training=False``.

    ``base(x, training=False)`` written into a functional graph does not do this: under ``fit`` Keras 3 overrides the
    flag for every layer of the graph (``models/functional.py``, ``operation_fn``). A flag passed inside ``call`` stays.

    Args:
        network: The network to call.
        kwargs: As for ``keras.layers.Layer``.
    """

    def __init__(self, network: keras.Model, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = network

    def call(self, inputs: Any) -> Any:
        """The network's output in inference mode."""
        return self.network(inputs, training=False)

    def compute_output_spec(self, inputs: Any) -> Any:
        """The network's own, which is known: to trace ``call`` for it takes a second where networks are deep."""
        return self.network.compute_output_spec(inputs)

    def get_config(self) -> dict[str, Any]:
        """As the base class, and the network."""
        return {**super().get_config(), "network": keras.saving.serialize_keras_object(self.network)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> InferenceMode:
        """The layer again, its network included."""
        others = {name: value for name, value in config.items() if name != "network"}
        return cls(keras.saving.deserialize_keras_object(config["network"]), **others)
