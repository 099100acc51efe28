"""Counts over pairs of elements: what they say, and that parts add up to the whole."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest

from equivcheck.diff import tally as module
from equivcheck.diff.tally import NOISE, Tally, tally

RANDOM = np.random.default_rng(0)
BLOCKS = [0, 1, module._BLOCK - 1, module._BLOCK, module._BLOCK + 1, 2 * module._BLOCK + 3]


def noisy(shape, scale=1e-3, dtype=np.float32):
    reference = RANDOM.normal(size=shape)
    return reference.astype(dtype), (reference + scale * RANDOM.normal(size=shape)).astype(dtype)


def assert_adds_up(parts, whole):
    """Every field but ``max_rel``, which is the largest over batches of what each has for its own scale."""
    total = sum(parts, Tally())
    for field in fields(Tally):
        if field.name != "max_rel":
            assert getattr(total, field.name) == pytest.approx(getattr(whole, field.name), rel=1e-5), field.name
    assert total.max_rel == max(part.max_rel for part in parts)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint8, np.bool_])
@pytest.mark.parametrize("equal", [True, False])
def test_tallies_of_parts_add_up_to_the_tally_of_the_whole(dtype, equal):
    a, b = ((array * 50).astype(dtype) for array in noisy((90, 7), scale=0.1))
    b = a.copy() if equal else b
    parts = [tally(a[start:stop], b[start:stop]) for start, stop in ((0, 1), (1, 60), (60, 60), (60, 90))]
    assert_adds_up(parts, tally(a, b))


def test_an_empty_tally_changes_nothing():
    for a, b in (noisy((3, 4)), (np.array([1]), np.array([2])), (np.array(["a"]), np.array(["b"]))):
        assert Tally() + tally(a, b) == tally(a, b) == tally(a, b) + tally(a[:0], b[:0])


@pytest.mark.parametrize("size", BLOCKS)
def test_blocks_leave_nothing_out(size):
    """A difference in the last element is found, and only there."""
    a = np.ones(size, np.float32)
    b = a.copy()
    if not size:
        assert tally(a, b) == Tally(noise=NOISE)
        return
    b[-1] = 2
    found = tally(a, b)
    assert (found.size, found.beyond, found.max_abs, found.sum_abs, found.equal) == (size, 1, 1.0, 1.0, False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_tolerance_is_where_allclose_begins_to_hold(dtype):
    for scale in (1e-6, 1e-3, 1.0):
        reference, other = noisy(1000, scale, dtype)
        t = tally(reference, other).tolerance
        wide, far = reference.astype(np.float64), other.astype(np.float64)
        assert np.allclose(far, wide, rtol=t * (1 + 1e-5), atol=t * (1 + 1e-5))
        assert not np.allclose(far, wide, rtol=0.99 * t, atol=0.99 * t)


def test_beyond_is_what_allclose_refuses_at_the_noise():
    reference, other = noisy(10_000, NOISE)
    refused = ~np.isclose(other.astype(np.float64), reference.astype(np.float64), rtol=NOISE, atol=NOISE)
    assert 0 < refused.sum() < refused.size
    assert tally(reference, other).beyond == pytest.approx(refused.sum(), abs=2)
    assert tally(reference, other).distance().beyond == pytest.approx(refused.mean(), abs=1e-3)


def test_the_mean_and_the_cosine_are_those_of_all_batches_together():
    a, b = noisy((64, 9), 0.5)
    total = sum((tally(a[k : k + 5], b[k : k + 5]) for k in range(0, 64, 5)), Tally()).distance()
    assert total.mean_abs == pytest.approx(np.abs(a - b).mean(), rel=1e-5)
    cosine = np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
    assert total.cosine == pytest.approx(cosine, rel=1e-5)


def test_the_cosine_counts_equal_batches_too():
    a, b = noisy((8, 9), 0.5)
    b[:4] = a[:4]
    halves = tally(a[:4], b[:4]) + tally(a[4:], b[4:])
    assert halves.distance().cosine == pytest.approx(tally(a, b).distance().cosine, rel=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_not_finite_is_counted_on_each_side(value, dtype):
    a, b = np.arange(6, dtype=dtype), np.arange(6, dtype=dtype)
    a[1] = value
    assert tally(a, a.copy()).nonfinite == (1, 1)
    assert tally(a, a.copy()).equal
    b[4] = value
    found = tally(a, b)
    assert found.nonfinite == (1, 1)
    assert (found.equal, found.max_abs, found.tolerance, found.beyond) == (False, math.inf, math.inf, 2)
    assert math.isnan(found.distance().cosine)
    finite = np.arange(6, dtype=dtype)
    assert tally(a, finite).nonfinite == (1, 0)
    assert tally(finite, a).nonfinite == (0, 1)


def test_infinity_that_both_have_does_not_hide_a_difference_elsewhere():
    a, b = np.array([np.inf, 1.0, np.nan]), np.array([np.inf, 1.5, np.nan])
    found = tally(a, b)
    assert (found.equal, found.max_abs, found.max_rel, found.beyond, found.nonfinite) == (False, 0.5, 0.5, 1, (2, 2))


def test_large_finite_numbers_are_not_taken_for_infinite():
    """Their squares overflow, which is how infinity is looked for."""
    a = np.full(5, 3e38, np.float32)
    assert tally(a, a.copy()).nonfinite == (0, 0)
    assert tally(a, a.copy()).distance().bit_equal


@pytest.mark.parametrize(
    ("kind", "noise"), [("float16", 4 * 2.0**-10), ("bfloat16", 4 * 2.0**-7), ("float32", NOISE), ("float64", NOISE)]
)
def test_noise_is_that_of_the_coarser_type(kind, noise):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = ml_dtypes.bfloat16 if kind == "bfloat16" else kind
    a = np.ones(4, np.float32)
    for pair in ((a.astype(dtype), a), (a, a.astype(dtype)), (a.astype(dtype), a.astype(dtype))):
        expected = max(noise, NOISE)
        assert tally(*pair).noise == expected
        assert tally(*pair).equal
    assert tally(a.astype(dtype), (a * 2).astype(dtype)).max_abs == 1.0


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.bool_])
def test_of_integers_any_mismatch_counts(dtype):
    a = np.array([0, 1, 1, 0], dtype)
    b = np.array([0, 0, 1, 1], dtype)
    found = tally(a, b)
    assert (found.beyond, found.noise, found.max_abs, found.equal) == (2, 0.0, 1.0, False)
    assert found.distance().beyond == 0.5
    assert tally(a, a.copy()) == Tally(4, noise=0.0)


def test_one_of_a_million_integers_is_enough():
    a = np.full(1000, 10**6, np.int64)
    b = a.copy()
    b[3] += 1
    found = tally(a, b).distance()
    assert (found.beyond, found.noise) == (0.001, 0.0)
    assert found.max_rel == pytest.approx(1e-6)


def test_integers_beyond_what_a_float_holds_are_still_told_apart():
    a, b = np.array([2**60], np.int64), np.array([2**60 + 1], np.int64)
    found = tally(a, b)
    assert (found.beyond, found.equal) == (1, False)
    assert found.max_abs > 0


@pytest.mark.parametrize("dtype", ["U3", object, "S3"])
def test_text_is_equal_or_not(dtype):
    a, b = np.array(["a", "b", "c", "d"], dtype), np.array(["a", "b", "x", "d"], dtype)
    found = tally(a, b).distance()
    assert (found.beyond, found.max_abs, found.noise, found.bit_equal) == (0.25, 1.0, 0.0, False)
    assert tally(a, a.copy()).distance().bit_equal
    assert_adds_up([tally(a[:2], b[:2]), tally(a[2:], b[2:])], tally(a, b))


def test_zeros_of_two_signs_are_equal():
    a, b = np.array([0.0, 1.0], np.float32), np.array([-0.0, 1.0], np.float32)
    found = tally(a, b)
    assert (found.equal, found.max_abs, found.beyond) == (True, 0.0, 0)


def test_memory_may_lie_in_any_order():
    a, b = noisy((30, 20))
    expected = tally(a, b)
    assert tally(np.asfortranarray(a), b) == expected
    assert tally(np.repeat(a, 2, axis=0)[::2], b) == expected
    assert tally(a[::-1], b[::-1]).max_abs == expected.max_abs
    assert tally(a.T, np.ascontiguousarray(b.T)).beyond == expected.beyond


def test_complex_numbers_are_two_numbers_each():
    a = np.array([1 + 2j, 3 - 1j], np.complex64)
    found = tally(a, a + np.complex64(0.5j))
    assert (found.size, found.max_abs, found.beyond) == (4, 0.5, 2)
    assert tally(a, a.copy()).equal


def test_a_single_number_without_axes():
    assert tally(np.float32(1), np.float32(3)).max_abs == 2.0


def test_the_relative_difference_is_by_each_batch():
    """A batch of large values does not hide a difference in a batch of small ones."""
    small = tally(np.array([1.0]), np.array([1.5]))
    large = tally(np.array([1000.0]), np.array([1000.0]))
    assert (small + large).max_rel == 0.5


def test_types_of_two_widths_are_compared_by_value():
    assert tally(np.array([1, 2], np.int32), np.array([1, 2], np.int64)).equal
    assert tally(np.array([1, 2], np.int32), np.array([1.0, 2.0], np.float32)).equal
    assert tally(np.array([True]), np.array([2], np.int8)).beyond == 1


def test_threads_do_not_count_in_one_another_s_room():
    """Blocks of one thread, of two types and of several lengths, while others count."""
    from concurrent.futures import ThreadPoolExecutor

    random = np.random.default_rng(0)
    pairs = []
    for number in range(24):
        a = random.normal(size=200_000 + number).astype((np.float32, np.float64)[number % 2])
        pairs.append((a, a + random.normal(scale=10.0**-number, size=a.size).astype(a.dtype)))
    expected = [tally(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda pair: tally(*pair), pairs)) == expected
