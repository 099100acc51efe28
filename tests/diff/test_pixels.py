"""Grey levels are found again behind every known preprocessing; where they cannot be told, nothing is claimed."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.diff.pixels import raw_pixels
from tests.diff.test_affine import MODES

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (4, 9, 8, 3)).astype(np.float32)
#: Between the levels, as a bilinear resize leaves them.
SMOOTH = (PIXELS[:, 1:] + 2 * PIXELS[:, :-1]) / 3
#: Blue or red first: values alone do not say, and red is taken.
TOLD = {name: mode for name, mode in MODES.items() if not name.endswith(", BGR")}


@pytest.mark.parametrize("name", TOLD)
def test_grey_levels_behind_a_mode(name):
    images = MODES[name](PIXELS).astype(np.float32)
    raw, made = raw_pixels(images)
    np.testing.assert_array_equal(raw, PIXELS)
    assert made is images


def test_half_precision_is_near_enough():
    raw, _ = raw_pixels(MODES["1/127.5 - 1 to [-1, 1]"](PIXELS).astype(np.float16))
    np.testing.assert_array_equal(raw, PIXELS)


@pytest.mark.parametrize("name", ["raw [0, 255]", "1/255 to [0, 1]", "1/127.5 - 1 to [-1, 1]"])
def test_without_a_grid_the_range_tells(name):
    raw, _ = raw_pixels(MODES[name](SMOOTH))
    np.testing.assert_allclose(raw, SMOOTH, atol=1e-3)


def test_images_on_the_grid_are_preferred():
    """Augmented training images first, validation images behind them."""
    raw, made = raw_pixels(SMOOTH / 255, PIXELS / 255)
    np.testing.assert_array_equal(raw, PIXELS)
    assert made.shape == PIXELS.shape


@pytest.mark.parametrize(
    "images",
    [
        RANDOM.normal(size=(4, 9, 8, 3)),  # standardised
        np.abs(SMOOTH) / 2550,  # dark
        SMOOTH * 3,
        np.zeros((2, 4, 4, 3)),
        SMOOTH - np.array([103.939, 116.779, 123.68]),  # means of whichever channel
        PIXELS.reshape(4, -1),
        PIXELS[:0],
    ],
)
def test_what_cannot_be_told(images):
    assert raw_pixels(images) is None


def test_white_on_black_is_white():
    """Levels 0 and 1 alone would be a picture that is black all over."""
    raw, _ = raw_pixels((PIXELS > 128).astype(np.float32))
    assert set(np.unique(raw)) == {0, 255}


def test_nothing_of_nothing():
    assert raw_pixels(None) is None
