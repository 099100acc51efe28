"""Which ``keras.applications`` the layers of a user's model have their weights from: seen while they are loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.preprocessing import preprocessing_of_module, returned_images
from equivcheck.arms.user_code import user_code

_APPLICATIONS = "keras.src.applications."

#: Module of ``keras.applications`` by layer: a module of the user's may make its backbone while it is imported, once.
_LOADED: WeakKeyDictionary[keras.Layer, str] = WeakKeyDictionary()


@contextmanager
def noted() -> Iterator[None]:
    """Writes down which layers get the weights of ``weights="imagenet"`` inside, and which get others after that."""
    load = keras.Model.load_weights

    def load_and_note(model: keras.Model, filepath: Any, *arguments: Any, **more: Any) -> None:
        load(model, filepath, *arguments, **more)
        module = _application_that_loads()
        for layer in _layers(model):
            if module is None:
                _LOADED.pop(layer, None)
            else:
                _LOADED[layer] = module

    keras.Model.load_weights = load_and_note
    try:
        yield
    finally:
        keras.Model.load_weights = load


def preprocessing_of_weights(network: keras.Model) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None:
    """``preprocess_input`` of the application that a network's pretrained weights are from.

    Args:
        network: The backbone, or the model that it is part of.

    Returns:
        None where no pretrained weights were seen, or those of several applications.
    """
    modules = {_LOADED[layer] for layer in _layers(network) if layer in _LOADED}
    return preprocessing_of_module(modules.pop()) if len(modules) == 1 else None


def checked(
    preprocess_input: Callable[[npt.NDArray[Any]], Any], function: str
) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """A user's ``preprocess_input``, on a copy of what it is given and with a check of what it returns.

    Args:
        preprocess_input: ``(n, height, width, channels)`` in [0, 255] to the same shape.
        function: ``module:function`` that handed it over, for messages.
    """

    def apply(raw: npt.NDArray[Any]) -> npt.NDArray[Any]:
        with user_code(function, ".preprocess_input"):
            value = preprocess_input(np.array(raw, np.float32))
        return returned_images(value, f"{function}: .preprocess_input", raw.shape)

    return apply


def _application_that_loads() -> str | None:
    """The module of ``keras.applications`` that loads ImageNet's weights, as the stack shows it; None for others.

    The outermost: ResNetV2 is made by a function of ResNet's module. Weights from a path, which are loaded at the same
    place, may have been trained with any preprocessing.
    """
    found = None
    frame = inspect.currentframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(_APPLICATIONS):
            found = name.removeprefix(_APPLICATIONS) if frame.f_locals.get("weights") == "imagenet" else None
        frame = frame.f_back
    return found


def _layers(model: keras.Model) -> list[keras.Layer]:
    return [layer for layer in model._flatten_layers() if not isinstance(layer, keras.Model)]  # noqa: SLF001  (no public list)
