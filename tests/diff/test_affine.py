"""Preprocessing is named from the pixels that went in and the tensor that came out."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.diff.affine import AffineMap, fit_affine, known_modes, looks_like

CAFFE = np.array([103.939, 116.779, 123.68])
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

#: Name -> what keras.applications.imagenet_utils.preprocess_input does, written out.
MODES = {
    "raw [0, 255]": lambda x: x,
    "1/255 to [0, 1]": lambda x: x / 255,
    "1/127.5 - 1 to [-1, 1]": lambda x: x / 127.5 - 1,
    "rescaled twice (1/255 of 1/255)": lambda x: x / 255 / 255,
    "caffe (BGR, minus ImageNet means)": lambda x: x[..., ::-1] - CAFFE,
    "minus ImageNet means, RGB": lambda x: x - CAFFE[::-1],
    "minus ImageNet means, BGR": lambda x: x - CAFFE,
    "torch (ImageNet mean and standard deviation)": lambda x: (x / 255 - MEAN) / STD,
    "raw [0, 255], BGR": lambda x: x[..., ::-1],
    "1/255 to [0, 1], BGR": lambda x: x[..., ::-1] / 255,
    "1/127.5 - 1 to [-1, 1], BGR": lambda x: x[..., ::-1] / 127.5 - 1,
}
GREY_MODES = list(MODES)[:4]


@pytest.fixture
def pixels():
    """Random colour images, with both ends of the range in every channel."""
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3)).astype(np.uint8)
    images[0, 0, 0], images[0, 0, 1] = 0, 255
    return images


def test_every_known_mode_is_tried():
    assert set(known_modes(3)) == set(MODES)
    assert list(known_modes(1)) == GREY_MODES


@pytest.mark.parametrize("mode", MODES)
def test_modes_are_named_from_colour_images(pixels, mode):
    found = fit_affine(pixels, MODES[mode](pixels.astype(np.float64)).astype(np.float32))
    assert found.explains
    assert found.name == mode


@pytest.mark.parametrize("mode", GREY_MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_modes_are_named_from_grey_images(pixels, mode, channels):
    """Repeated over three channels any order fits; nothing speaks for a reordering then."""
    grey = np.repeat(pixels[..., :1], channels, axis=-1)
    found = fit_affine(grey, MODES[mode](grey.astype(np.float64)).astype(np.float32))
    assert found.order == tuple(range(channels))
    assert found.name == mode


@pytest.mark.parametrize("mode", ["caffe (BGR, minus ImageNet means)", "torch (ImageNet mean and standard deviation)"])
def test_grey_images_do_not_hide_the_offsets_of_colour_modes(pixels, mode):
    grey = np.repeat(pixels[..., :1], 3, axis=-1).astype(np.float64)
    assert fit_affine(grey, MODES[mode](grey).astype(np.float32)).explains


@pytest.mark.parametrize("stored", [np.round, np.floor])
@pytest.mark.parametrize("count", [100, 8 * 32 * 32])
def test_a_mode_survives_rounding_to_whole_grey_levels(stored, count):
    """Resized images are fractions; whoever stores them in 8 bits is half a level off, and the fitted line a little."""
    exact = np.random.default_rng(1).uniform(0, 255, (1, count, 1, 3))
    found = fit_affine(exact, stored(exact) / 127.5 - 1)
    assert found.explains
    assert found.residual > 0.4 / 255


def test_rounding_to_whole_grey_levels_is_a_change_and_half_precision_is_none():
    """Resized images as floats in one arm, stored in 8 bits in the other: the backbone computes other features."""
    exact = np.random.default_rng(1).uniform(0, 255, (1, 8 * 32 * 32, 1, 3))
    found = fit_affine(exact, np.round(exact))
    assert not found.identity
    assert found.name == "raw [0, 255] (within 0.5 grey levels)"
    for values in (exact, exact / 127.5 - 1, exact - CAFFE):
        assert fit_affine(values, values.astype(np.float16)).identity


def test_a_dark_data_set_is_named_as_well(pixels):
    dark = pixels // 8
    assert fit_affine(dark, (dark / 127.5 - 1).astype(np.float32)).name == "1/127.5 - 1 to [-1, 1]"


def test_the_map_between_two_preprocessed_arms(pixels):
    """From [-1, 1] to [0, 1]: half, plus a half."""
    found = fit_affine(pixels / 127.5 - 1, pixels / 255)
    assert found.scale == pytest.approx((0.5,) * 3)
    assert found.offset == pytest.approx((0.5,) * 3)
    assert found.name == "x * 0.5 + 0.5"


def test_a_map_per_channel_shows_its_numbers(pixels):
    found = fit_affine(pixels, pixels * np.array([1.0, 2.0, 3.0]) + np.array([0.5, 1.0, 2.0]))
    assert found.name == "x * (1, 2, 3) + (0.5, 1, 2)"
    assert found.order == (0, 1, 2)


@pytest.mark.parametrize("order", [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1)])
def test_odd_channel_orders_are_told(pixels, order):
    found = fit_affine(pixels, pixels[..., order] / 64)
    assert found.order == order
    assert found.name.endswith(f", channels {''.join('RGB'[i] for i in order)}")
    assert not found.identity


@pytest.mark.parametrize(
    "change", [np.sqrt, lambda x: x[:, ::-1], lambda x: np.roll(x, 1, axis=2), lambda x: np.clip(x, 50, 200)]
)
def test_what_is_not_affine_says_so(pixels, change):
    """Gamma, a flip, a shift, clipping."""
    found = fit_affine(pixels, change(pixels.astype(np.float64)))
    assert not found.explains
    assert not found.identity
    assert found.name.startswith("not affine (residual ")


def test_only_the_unchanged_is_the_identity(pixels):
    raw = pixels.astype(np.float32)
    assert fit_affine(raw, raw).identity
    assert fit_affine(raw / 255, np.float32(1 / 255) * raw).identity
    assert not fit_affine(raw, raw[..., ::-1]).identity
    assert not fit_affine(raw, raw + 1).identity
    assert not fit_affine(raw, raw * 1.01).identity


def test_a_constant_output_is_no_division_by_zero(pixels):
    found = fit_affine(pixels, np.zeros(pixels.shape))
    assert found.scale == (0.0, 0.0, 0.0)
    assert found.residual == 0.0


def test_a_channel_without_contrast_is_not_taken_for_a_change(pixels):
    """No factor can be read off it; left as it is, it is left as it is."""
    pixels[..., 2] = 7
    assert fit_affine(pixels, pixels).identity
    black = np.zeros((2, 3, 3, 3))
    assert fit_affine(black, black).identity
    assert not fit_affine(black, black + 1).identity


@pytest.mark.parametrize("shape", [(4, 6, 5, 1), (4, 5, 6, 3), (3, 6, 5, 3)])
def test_other_shapes_have_no_map(pixels, shape):
    assert fit_affine(pixels, np.zeros(shape)) is None


def test_tensors_that_are_no_images_have_no_map():
    assert fit_affine(np.zeros((4, 3)), np.zeros((4, 3))) is None


def test_many_channels_are_not_permuted():
    """Seven channels have 5040 orders."""
    x = np.random.default_rng(0).normal(size=(4, 5, 5, 7))
    assert fit_affine(x, 2 * x).order == tuple(range(7))
    assert not fit_affine(x, x[..., ::-1]).explains


def test_same_maps():
    known = known_modes(3)
    one = known["1/255 to [0, 1]"]
    assert one.same_as(AffineMap((1 / 255 * 1.0001,) * 3, (0.00001,) * 3, (0, 1, 2), 0.0))
    assert not one.same_as(AffineMap((1 / 255,) * 3, (0.01,) * 3, (0, 1, 2), 0.0))
    assert not one.same_as(known["1/255 to [0, 1], BGR"])
    assert not one.same_as(known_modes(1)["1/255 to [0, 1]"])


@pytest.mark.parametrize("one", MODES)
def test_no_two_names_for_one_map(one):
    known = known_modes(3)
    assert [name for name, other in known.items() if known[one].same_as(other)] == [one]


@pytest.mark.parametrize(
    ("mode", "guess"),
    [
        ("raw [0, 255]", "raw [0, 255]"),
        ("1/255 to [0, 1]", "1/255 to [0, 1]"),
        ("1/127.5 - 1 to [-1, 1]", "1/127.5 - 1 to [-1, 1]"),
        ("caffe (BGR, minus ImageNet means)", "caffe (minus ImageNet means)"),
        ("torch (ImageNet mean and standard deviation)", "torch (ImageNet mean and standard deviation)"),
    ],
)
def test_a_guess_where_the_raw_pixels_are_unknown(pixels, mode, guess):
    tensor = MODES[mode](pixels.astype(np.float64))
    assert looks_like(tensor) == f"values from {tensor.min():.3g} to {tensor.max():.3g}, as {guess} gives"


@pytest.mark.parametrize("values", [[0.0, 1000.0], [-500.0, 500.0]])
def test_no_guess_is_made_of_what_no_mode_gives(values):
    assert " gives" not in looks_like(np.array(values))
