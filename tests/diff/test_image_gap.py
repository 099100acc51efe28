"""How two sets of images of the same samples differ, and which sample is which then."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from equivcheck.diff.image_gap import image_gap
from equivcheck.diff.views import assign, in_order

RANDOM = np.random.default_rng(0)


def resized(images, size, mode=Image.Resampling.BILINEAR):
    return np.array([np.asarray(Image.fromarray(image).resize(size[::-1], mode)) for image in images], np.float32)


COARSE = RANDOM.integers(0, 256, (24, 6, 8, 3), np.uint8)
LARGE = resized(COARSE, (96, 128), Image.Resampling.BICUBIC)
LARGE = np.clip(LARGE + RANDOM.normal(0, 8, LARGE.shape), 0, 255).astype(np.uint8)
IMAGES = resized(LARGE, (32, 32))
LABELS = np.arange(24) % 3


def flipped(images):
    return np.where((np.arange(len(images)) % 2 == 0)[:, None, None, None], images, images[:, :, ::-1])


@pytest.mark.parametrize(
    ("other", "kind"),
    [
        (IMAGES / 127.5 - 1, "affine"),
        (IMAGES[..., ::-1], "affine"),
        (resized(LARGE, (32, 32), Image.Resampling.NEAREST), "resized"),
        (resized(LARGE, (32, 32), Image.Resampling.LANCZOS) / 255, "resized"),
        (resized(LARGE[:, :, 16:112], (32, 32)), "resized"),
        (resized(LARGE, (48, 48)), "resized"),
        (IMAGES.transpose(0, 2, 1, 3), "turned"),
        (flipped(IMAGES), "views"),
        (
            np.array(
                [np.roll(image, shift, 1) for image, shift in zip(IMAGES, RANDOM.integers(-4, 5, 24), strict=True)]
            ),
            "views",
        ),
        (IMAGES * RANDOM.uniform(0.7, 1.3, (24, 1, 1, 1)), "views"),
        (255 * (IMAGES / 255) ** 0.5, "other"),
        (IMAGES[:, :, ::-1], "other"),
        ((IMAGES - IMAGES.mean((1, 2, 3), keepdims=True)) / IMAGES.std((1, 2, 3), keepdims=True), "other"),
    ],
)
def test_kinds(other, kind):
    assert image_gap(IMAGES[:8], other[:8]).kind == kind


def test_sides_exchanged():
    assert image_gap(resized(LARGE, (24, 32)), resized(LARGE, (32, 24))).kind == "swapped"


def test_another_resize_does_not_hide_another_mode():
    gap = image_gap(IMAGES[:8], resized(LARGE, (32, 32), Image.Resampling.NEAREST)[:8] / 255)
    assert gap.smooth.scale == pytest.approx([1 / 255] * 3, rel=0.1)


def test_views_are_recognised_and_others_are_not():
    assert in_order(IMAGES, flipped(IMAGES), LABELS)
    assert not in_order(IMAGES, flipped(np.roll(IMAGES, 3, axis=0)), LABELS)
    order = RANDOM.permutation(24)
    np.testing.assert_array_equal(assign(IMAGES, flipped(IMAGES[order]), LABELS, LABELS[order]), order)
    noise = RANDOM.uniform(0, 255, IMAGES.shape)
    assert assign(IMAGES, noise, LABELS, LABELS) is None
    assert not in_order(IMAGES, noise, LABELS)
