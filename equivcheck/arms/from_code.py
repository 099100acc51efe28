"""An arm that the user's own function returns; see ``protocol.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm, Feed, Split
from equivcheck.arms.module_arrays import rescaled_arrays
from equivcheck.arms.pretrained import checked, noted, preprocessing_of_weights
from equivcheck.arms.user_code import call_user_function, load_user_function
from equivcheck.errors import InputError
from equivcheck.findings import ArmName

#: For arms whose own code sets no seed, so that two runs of one spec agree.
SEED = 0

_FORBIDDEN = frozenset({"x", "y", "validation_data", "verbose"})


def arm_from_code(function: str, name: ArmName, *, folder: Path, seed: int = SEED) -> Arm:
    """Calls the user's function and takes what it returns.

    Args:
        function: ``module:function``.
        name: Which arm it is.
        folder: Folder of the spec.
        seed: Set before the function is called; what it draws from seeds of its own does not depend on it.

    Raises:
        InputError: What it returned does not follow the protocol.
        UserCodeError: It raised.
    """
    # A module draws too when it is imported, and that happens once.
    with noted():
        load_user_function(function, folder=folder)
        keras.utils.set_random_seed(seed)
        with rescaled_arrays(function) as rescaled:
            returned = call_user_function(function, folder=folder)
    model = getattr(returned, "model", None)
    if not isinstance(model, keras.Model):
        raise InputError(
            f"{function} returned {type(returned).__name__} whose model is {type(model).__name__}; "
            "expected an object with a compiled keras.Model as .model (see equivcheck.arms.protocol)"
        )
    if not getattr(model, "compiled", False):
        raise InputError(f"{function}: .model is not compiled")
    fit = getattr(returned, "fit", {})
    if not isinstance(fit, Mapping):
        raise InputError(f"{function}: .fit is {type(fit).__name__}; expected a mapping of arguments of fit")
    wrong = sorted(_FORBIDDEN & set(fit))
    if wrong:
        raise InputError(f"{function}: .fit holds {', '.join(wrong)}; data belong into .train and .validation")
    _check_arguments(model, fit, function)
    if getattr(returned, "train", None) is None:
        raise InputError(f"{function}: .train is missing; expected what fit is given as data")
    backbone = getattr(returned, "backbone", None)
    if backbone is not None and not isinstance(backbone, keras.Model):
        raise InputError(f"{function}: .backbone is {type(backbone).__name__}; expected a keras.Model")
    as_trained = getattr(returned, "preprocess_input", None)
    if as_trained is not None and not callable(as_trained):
        raise InputError(f"{function}: .preprocess_input is {type(as_trained).__name__}; expected a function")
    extractor = backbone if name == "bottleneck" else None
    validation = getattr(returned, "validation", None)
    return Arm(
        name=name,
        model=model,
        train=_split(
            returned.train,
            getattr(returned, "images", None),
            function,
            bottleneck=name == "bottleneck",
            steps=("steps_per_epoch", fit.get("steps_per_epoch")),
        ),
        validation=None
        if validation is None
        else _split(
            validation,
            getattr(returned, "validation_images", None),
            function,
            bottleneck=name == "bottleneck",
            steps=("validation_steps", fit.get("validation_steps")),
        ),
        fit={"epochs": 1, **fit},
        seed=SEED,
        extractor=extractor,
        as_trained=preprocessing_of_weights(extractor or model)
        if as_trained is None
        else checked(as_trained, function),
        made_by=function,
        rescaled=rescaled,
    )


def _check_arguments(model: keras.Model, fit: Mapping[str, Any], function: str) -> None:
    known = inspect.signature(model.fit).parameters
    unknown = sorted(map(str, fit.keys() - known.keys()))
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        raise InputError(f"{function}: .fit holds {', '.join(unknown)}, which {type(model).__name__}.fit does not take")
    for name in ("epochs", "batch_size", "steps_per_epoch", "validation_steps"):
        value = fit.get(name)
        if value is not None and not (isinstance(value, int | np.integer) and value > 0):
            raise InputError(f"{function}: {name} of .fit is {value!r}; expected a whole number above 0")


def _split(data: Any, images: Any, function: str, *, bottleneck: bool, steps: tuple[str, Any]) -> Split:
    # Generators of ImageDataGenerator are both: fit takes them as data sets, which begin anew.
    if isinstance(data, Iterator) and not isinstance(data, keras.utils.PyDataset) and steps[1] is None:
        raise InputError(
            f"{function}: data is a {type(data).__name__}, which yields its batches only once; "
            f"expected arrays, a tf.data.Dataset or a keras.utils.PyDataset, or {steps[0]} in .fit for a generator "
            "that never ends"
        )
    if not isinstance(data, tuple):
        shown, lent = _own(None if images is None else np.asarray(images))
        return Split(Feed(data), shown, lent=lent)
    if len(data) not in {2, 3}:
        raise InputError(f"{function}: data is a tuple of {len(data)}; expected (x, y) or (x, y, sample_weight)")
    x, y = _array(data[0], "x", function), _array(data[1], "y", function)
    if len(x) != len(y):
        raise InputError(f"{function}: {len(x)} samples but {len(y)} labels")
    weight = _array(data[2], "sample_weight", function) if len(data) == 3 else None  # noqa: PLR2004
    shown = x if not bottleneck else None if images is None else _array(images, "images", function)
    if shown is not None and len(shown) != len(x):
        raise InputError(f"{function}: {len(x)} samples but {len(shown)} images")
    feed = Feed(x, y, weight)
    if not bottleneck:
        return Split(feed, shown)
    shown, lent = _own(shown)
    return Split(feed, shown, lent=lent)


def _own(images: npt.NDArray[Any] | None) -> tuple[npt.NDArray[Any] | None, npt.NDArray[Any] | None]:
    """The images as they are now, and the user's array where other code can still change it in place."""
    if images is None or images.dtype.kind != "f":
        return images, None
    return images.copy(), images


def _array(value: Any, name: str, function: str) -> npt.NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{function}: {name} is not an array: {error}") from None
    if array.ndim == 0 or array.dtype == object:
        raise InputError(f"{function}: {name} is {type(value).__name__}; expected an array of numbers")
    if len(array) == 0:
        raise InputError(f"{function}: {name} is empty")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{function}: {name} holds NaN or infinite values")
    return array
