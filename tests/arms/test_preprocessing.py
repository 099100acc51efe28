"""From raw pixels to what the backbone is fed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from equivcheck.errors import InputError, UserCodeError
from equivcheck.spec.keras_names import PREPROCESSING
from equivcheck.spec.model import Preprocessing

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3)).astype(np.uint8)


@pytest.fixture
def apply():
    from equivcheck.arms.preprocessing import preprocess

    def of(pixels=PIXELS, **keys):
        return preprocess(pixels, Preprocessing.model_validate(keys) if keys else None, folder=Path())

    return of


@pytest.fixture
def theirs(apply, monkeypatch):
    """Applies a function of the user's."""

    def of(function, pixels=PIXELS):
        module = ModuleType("made_up_preprocessing")
        module.prepare = function
        monkeypatch.setitem(sys.modules, "made_up_preprocessing", module)
        return apply(pixels, callable="made_up_preprocessing:prepare")

    return of


def in_place(images):
    images *= 0
    return images


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize(
    "keys",
    [{}, {"rescale": 0.5}, {"rescale": 1.0, "offset": -1}, {"application": "vgg16"}, {"application": "resnet_v2"}],
)
def test_the_input_is_never_changed(apply, keys, dtype):
    """Keras' own preprocess_input changes float arrays in place."""
    pixels = PIXELS.astype(dtype)
    result = apply(pixels, **keys)
    np.testing.assert_array_equal(pixels, PIXELS)
    assert not np.shares_memory(result, pixels)
    assert result.dtype == np.float32
    assert result.shape == PIXELS.shape


def test_a_function_that_works_in_place_does_no_harm(theirs):
    pixels = PIXELS.astype(np.float32)
    assert not theirs(in_place, pixels).any()
    np.testing.assert_array_equal(pixels, PIXELS)


def test_nothing(apply):
    np.testing.assert_array_equal(apply(), PIXELS.astype(np.float32))


def test_rescaling(apply):
    np.testing.assert_array_equal(apply(rescale=0.5, offset=-1), PIXELS.astype(np.float32) * 0.5 - 1)
    np.testing.assert_allclose(apply(rescale=1 / 255), PIXELS / 255, rtol=1e-6)
    assert not apply(rescale=0.0).any()


@pytest.mark.parametrize("name", PREPROCESSING)
def test_every_application_as_keras_does_it(apply, name):
    import keras

    expected = getattr(keras.applications, name).preprocess_input(PIXELS.astype(np.float32))
    np.testing.assert_array_equal(apply(application=name), expected)


def test_a_function_of_the_users(theirs):
    np.testing.assert_array_equal(theirs(lambda images: images[..., ::-1]), PIXELS[..., ::-1].astype(np.float32))
    assert theirs(lambda images: images > 9).dtype == np.float32
    assert theirs(lambda images: images.tolist()).shape == PIXELS.shape


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda _: None, "returned NoneType of shape (); expected numbers of shape (3, 5, 4, 3)"),
        (lambda _: "text", "returned str; expected numbers of shape (3, 5, 4, 3)"),
        (lambda images: [images[0], images[1, 0]], "returned list; expected numbers of shape (3, 5, 4, 3)"),
        (lambda images: images[:2], "returned ndarray of shape (2, 5, 4, 3); expected numbers of shape (3, 5, 4, 3)"),
        (
            lambda images: images[:, :3],
            "returned ndarray of shape (3, 3, 4, 3); expected numbers of shape (3, 5, 4, 3)",
        ),
        (lambda images: images.mean(-1), "returned ndarray of shape (3, 5, 4); expected numbers of shape (3, 5, 4, 3)"),
        (lambda images: np.full_like(images, np.nan), "returned NaN or infinite values"),
    ],
)
def test_a_function_that_returns_something_else_is_named(theirs, function, message):
    with pytest.raises(InputError) as raised:
        theirs(function)
    assert str(raised.value) == f"made_up_preprocessing:prepare {message}"


def test_a_function_that_raises_is_named(theirs):
    with pytest.raises(UserCodeError, match=r"^made_up_preprocessing:prepare raised ZeroDivisionError: "):
        theirs(lambda _: 1 / 0)
