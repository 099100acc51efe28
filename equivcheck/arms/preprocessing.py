"""From raw pixels to what the backbone is fed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.said import refused
from equivcheck.arms.user_code import call_user_function
from equivcheck.errors import InputError
from equivcheck.spec.model import Preprocessing


def preprocess(
    pixels: npt.NDArray[Any], preprocessing: Preprocessing | None, *, folder: Path
) -> npt.NDArray[np.float32]:
    """Applies a spec's preprocessing to a copy.

    Args:
        pixels: ``(n, height, width, channels)``, values in [0, 255].
        preprocessing: What to do; None leaves the values as they are.
        folder: Folder of the spec, from which a callable's module is imported.

    Returns:
        A new float32 array of the same shape.
    """
    # A copy always: keras' preprocess_input changes float arrays in place.
    copy = np.array(pixels, np.float32)
    if preprocessing is None:
        return copy
    if preprocessing.channel_order == "bgr":
        copy = np.ascontiguousarray(copy[..., ::-1])
    if preprocessing.rescale is not None:
        return copy * np.float32(preprocessing.rescale) + np.float32(preprocessing.offset)
    if preprocessing.application is not None:
        module = getattr(keras.applications, preprocessing.application)
        # Most shift each of three channels by a mean of its own.
        with refused(f"preprocess_input of {preprocessing.application} on images of shape {pixels.shape[1:]}"):
            return np.asarray(module.preprocess_input(copy), np.float32)
    assert preprocessing.callable is not None
    value = call_user_function(preprocessing.callable, copy, folder=folder)
    return returned_images(value, preprocessing.callable, pixels.shape)


def preprocessing_of_module(module: str) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """``preprocess_input`` of a module of ``keras.applications``, on a copy.

    Args:
        module: Such as ``vgg16``.
    """
    own = Preprocessing.model_validate({"application": module})
    return partial(preprocess, preprocessing=own, folder=Path())


def returned_images(value: Any, function: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """What a preprocessing of the user's returned, as images.

    Args:
        value: What it returned.
        function: How to call it in messages.
        shape: The shape of what it was given.

    Raises:
        InputError: It is no array of finite numbers of that shape.
    """
    try:
        returned = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{function} returned {type(value).__name__}; expected numbers of shape {shape}") from None
    if returned.shape != shape:
        raise InputError(
            f"{function} returned {type(value).__name__} of shape {returned.shape}; expected numbers of shape {shape}"
        )
    if not np.isfinite(returned).all():
        raise InputError(f"{function} returned NaN or infinite values")
    return returned
