"""Which sample is which, whatever was done to its pixels."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.diff.affine import known_modes
from equivcheck.diff.identity import match_ids, match_images, thumbnails


@pytest.fixture
def images():
    """Smooth random colour pictures, of a size that no thumbnail divides."""
    coarse = np.random.default_rng(0).uniform(0, 255, (12, 7, 7, 3))
    return np.kron(coarse, np.ones((1, 5, 7, 1))).astype(np.uint8)


def under(mode, images):
    known = known_modes(3)[mode]
    return (images[..., known.order] * np.array(known.scale) + np.array(known.offset)).astype(np.float32)


@pytest.mark.parametrize("mode", known_modes(3))
def test_no_known_preprocessing_changes_a_thumbnail(images, mode):
    """Torch's three standard deviations are the one exception, and stay far above the threshold of 0.999."""
    likeness = (thumbnails(images) * thumbnails(under(mode, images))).sum(axis=1)
    assert likeness.min() > 0.9995


@pytest.mark.parametrize("one", known_modes(3))
@pytest.mark.parametrize("other", ["raw [0, 255]", "torch (ImageNet mean and standard deviation)"])
def test_shuffled_samples_are_found_across_preprocessings(images, one, other):
    order = np.random.default_rng(1).permutation(len(images))
    assert match_images(under(one, images), under(other, images[order])).tolist() == order.tolist()


def test_thumbnails_are_small_and_normalised(images):
    assert thumbnails(images).shape == (12, 256)
    assert thumbnails(images[:, :8, :8]).shape == (12, 64)
    np.testing.assert_allclose(np.linalg.norm(thumbnails(images), axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(thumbnails(images).mean(axis=1), 0, atol=1e-6)


def test_equal_images_are_taken_in_turn(images):
    reference = images[[0, 1, 0, 2, 0]]
    assert match_images(reference, images[[0, 0, 1, 0]]).tolist() == [0, 2, 1, 4]


def test_more_copies_than_there_are_still_find_a_place(images):
    assert match_images(images[[3, 4]], images[[4, 4, 3]]).tolist() == [1, 1, 0]


def test_strangers_are_not_matched(images):
    assert match_images(images[:6], images[4:8]).tolist() == [4, 5, -1, -1]


def test_the_same_pictures_at_another_size(images):
    """Two loaders may resize differently; both sizes are averaged down to the same thumbnail."""
    twice = np.kron(images, np.ones((1, 2, 2, 1), np.uint8))
    assert match_images(images, twice).tolist() == list(range(12))


def test_sizes_too_different_to_compare(images):
    assert match_images(images, images[:, :8, :8]).tolist() == [-1] * 12


def test_a_flat_picture_is_nobody(images):
    """Without any contrast there is nothing to recognise."""
    for flat in (np.full((2, 35, 49, 3), 9, np.uint8), np.full((2, 35, 49, 3), 0.1), np.zeros((2, 35, 49, 3))):
        assert not thumbnails(flat).any()
        assert match_images(images, flat).tolist() == [-1, -1]


def test_one_pixel_that_is_one_grey_level_brighter_is_contrast_enough():
    faint = np.full((1, 35, 49, 3), 254, np.uint8)
    faint[0, 3, 4] = 255
    assert match_images(faint, faint).tolist() == [0]


def test_a_flipped_or_brightened_picture():
    images = np.random.default_rng(3).uniform(0, 255, (3, 16, 16, 3))
    assert match_images(images, images * 0.5 + 20).tolist() == [0, 1, 2]
    assert match_images(images, images[:, :, ::-1]).tolist() == [-1, -1, -1]


def test_ids():
    assert match_ids(("a", "b", "c"), ("c", "x", "a", "c")).tolist() == [2, -1, 0, 2]
    assert match_ids((), ("a",)).tolist() == [-1]
    assert match_ids(("a",), ()).shape == (0,)
