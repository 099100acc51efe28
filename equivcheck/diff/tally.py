"""What two tensors have in common, counted block by block, so that many batches add up to one distance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import local
from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.measured import Distance

#: Relative difference up to which two activations count as equal. Kernels for batches of one and of several differ by
#: up to 6e-7 (measured on InceptionV3, MobileNetV2 and EfficientNetB0, CPU); this leaves a factor of sixteen for depth.
NOISE = 1e-5

#: The same for half precision, as a multiple of its machine epsilon: one rounding of each output, and of its input.
_HALF_PRECISION_ROUNDINGS = 4

#: Elements that are looked at together: small enough that a block stays in a core's cache while it is read several
#: times, large enough that neither NumPy's cost per call matters nor, where threads count side by side, that of handing
#: on the interpreter's lock around each (half the time of 2**15 elements, measured on two cores).
_BLOCK = 1 << 17
_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over pairs of elements; tallies of several batches add up.

    Attributes:
        size: Pairs that were compared.
        equal: All of them are equal, to the last bit or as zeros of two signs.
        max_abs: Largest absolute difference.
        max_rel: Largest, over batches, of ``max_abs`` by the largest absolute value of the reference.
        sum_abs: Sum of the absolute differences.
        tolerance: Smallest ``t`` for which ``np.allclose(other, reference, rtol=t, atol=t)`` holds.
        beyond: Pairs for which ``t = noise`` is not enough; for integers and text, pairs that are unequal.
        noise: Relative difference that rounding explains in this type; 0 for integers and text.
        dot: Sum of products.
        squares: Sums of squares of the reference and of the other.
        nonfinite: NaN and infinite elements of the reference and of the other.
    """

    size: int = 0
    equal: bool = True
    max_abs: float = 0.0
    max_rel: float = 0.0
    sum_abs: float = 0.0
    tolerance: float = 0.0
    beyond: int = 0
    noise: float = NOISE
    dot: float = 0.0
    squares: tuple[float, float] = (0.0, 0.0)
    nonfinite: tuple[int, int] = (0, 0)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            size=self.size + other.size,
            equal=self.equal and other.equal,
            max_abs=max(self.max_abs, other.max_abs),
            max_rel=max(self.max_rel, other.max_rel),
            sum_abs=self.sum_abs + other.sum_abs,
            tolerance=max(self.tolerance, other.tolerance),
            beyond=self.beyond + other.beyond,
            noise=max(self.noise if self.size else 0.0, other.noise if other.size else 0.0),
            dot=self.dot + other.dot,
            squares=(self.squares[0] + other.squares[0], self.squares[1] + other.squares[1]),
            nonfinite=(self.nonfinite[0] + other.nonfinite[0], self.nonfinite[1] + other.nonfinite[1]),
        )

    def distance(self, floor: float | None = None) -> Distance:
        """The tally as it is reported.

        Args:
            floor: Measured noise floor of the layer, relative to its largest activation.
        """
        norms = float(np.sqrt(self.squares[0]) * np.sqrt(self.squares[1]))
        cosine = 1.0 if self.equal else self.dot / norms if norms else 0.0
        return Distance(
            max_abs=self.max_abs,
            max_rel=self.max_rel,
            cosine=cosine if np.isfinite(self.max_abs) else float("nan"),
            mean_abs=self.sum_abs / self.size if self.size else 0.0,
            beyond=self.beyond / self.size if self.size else 0.0,
            tolerance=self.tolerance,
            noise=self.noise,
            floor=floor,
        )


def tally(reference: npt.NDArray[Any], other: npt.NDArray[Any]) -> Tally:
    """Counts over two arrays of one shape.

    Reads equal arrays once; only where they are not equal to the last bit is anything computed.
    """
    a, b = _flat(reference), _flat(other)
    if not _is_number(a) or not _is_number(b):
        return _unequal(int(np.count_nonzero(a != b)), a.size)
    if a.dtype == b.dtype and (equal := _bit_equal(a, b)) is not None:
        return equal
    if not _is_float(a) and not _is_float(b):
        return _integers(a, b)
    return _floats(a, b)


def _flat(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.real(flat[:0]).dtype) if np.iscomplexobj(flat) else flat


def _is_float(array: npt.NDArray[Any]) -> bool:
    # bfloat16 and the 8-bit floats are extension types, which NumPy does not count among its own.
    return array.dtype.kind == "f" or array.dtype.name.startswith(("bfloat", "float"))


def _is_number(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind in "biu" or _is_float(array)


def _noise(*arrays: npt.NDArray[Any]) -> float:
    """Rounding noise of the least precise of the arrays' types."""
    bits = min((array.dtype.itemsize for array in arrays if _is_float(array)), default=4) * 8
    names = {array.dtype.name for array in arrays}
    if "bfloat16" in names:
        return _HALF_PRECISION_ROUNDINGS * 2.0**-7
    if bits <= 16:  # noqa: PLR2004
        return _HALF_PRECISION_ROUNDINGS * 2.0**-10
    return NOISE


def _bit_equal(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Tally | None:
    """The tally of two arrays with the same bits; None where a bit differs."""
    step = _BYTES // a.dtype.itemsize
    narrow = _is_float(a) and a.dtype.itemsize < 4  # noqa: PLR2004
    squares, nonfinite = 0.0, 0
    for start in range(0, a.size, step):
        p, q = a[start : start + step], b[start : start + step]
        if not np.array_equal(_words(p), _words(q)):
            return None
        if _is_float(a):
            # Needed for the cosine over batches; being NaN or infinite where anything is, it also finds those.
            with np.errstate(over="ignore", invalid="ignore"):
                wide = p.astype(np.float32) if narrow else p
                square = float(wide @ wide)
            if not np.isfinite(square):
                nonfinite += int(np.count_nonzero(~np.isfinite(wide)))
            squares += square
    noise = _noise(a) if _is_float(a) else 0.0
    return Tally(a.size, noise=noise, dot=squares, squares=(squares, squares), nonfinite=(nonfinite, nonfinite))


def _words(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The bytes of a block as integers, as wide as they come out even."""
    return block.view(np.int64 if block.nbytes % 8 == 0 else np.uint8)


def _unequal(count: int, size: int) -> Tally:
    """Text and the like: equal or not."""
    far = 1.0 if count else 0.0
    equal = size - count
    return Tally(size, not count, far, far, count, far, count, 0.0, equal, (size, size))


def _integers(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Tally:
    counted, scale = _blocks(a, b, np.dtype(np.float64), noise=0.0)
    unequal = int(np.count_nonzero(a != b))
    # Integers that are unequal are one apart at least, also where a float has no place for that.
    largest = max(counted.max_abs, float(bool(unequal)))
    return replace(
        counted,
        equal=not unequal,
        max_abs=largest,
        max_rel=relative(largest, scale),
        sum_abs=max(counted.sum_abs, float(unequal)),
        tolerance=max(counted.tolerance, float(bool(unequal)) / (1 + scale)),
        beyond=unequal,
    )


def _floats(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Tally:
    wide = np.result_type(np.float32, *(array.dtype for array in (a, b) if array.dtype.kind == "f"))
    counted, scale = _blocks(a, b, wide, _noise(a, b))
    return replace(counted, max_rel=relative(counted.max_abs, scale))


def _blocks(a: npt.NDArray[Any], b: npt.NDArray[Any], wide: np.dtype[Any], noise: float) -> tuple[Tally, float]:
    """The tally, computed in a type that holds both arrays; and the largest absolute value of the reference."""
    total = Tally(noise=noise)
    for start in range(0, a.size, _BLOCK):
        p = a[start : start + _BLOCK].astype(wide, copy=False)
        q = b[start : start + _BLOCK].astype(wide, copy=False)
        total += _block(p, q, noise)
    return total, total.max_rel


def relative(largest: float, scale: float) -> float:
    """A difference as a multiple of what it is a difference of; 0 for none, infinite for one from nothing."""
    if largest == 0:
        return 0.0
    return largest / scale if scale else float("inf")


#: Room for one block, by thread and type: memory that is new for every block costs three times what is counted in it.
_ROOM = local()


def _room(dtype: np.dtype[Any], size: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Two arrays to write into and one of ones."""
    kept: dict[Any, tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]] = _ROOM.__dict__
    if dtype not in kept or kept[dtype][0].size < size:
        kept[dtype] = np.empty(size, dtype), np.empty(size, dtype), np.ones(size, dtype)
    first, second, ones = kept[dtype]
    return first[:size], second[:size], ones[:size]


def _block(p: npt.NDArray[Any], q: npt.NDArray[Any], noise: float) -> Tally:
    """One block; ``max_rel`` holds its largest reference value until the blocks are put together."""
    gap, size, ones = _room(p.dtype, p.size)
    with np.errstate(over="ignore", invalid="ignore"):
        np.subtract(p, q, out=gap)
        np.abs(gap, out=gap)
        np.abs(p, out=size)
        largest, scale = float(gap.max(initial=0.0)), float(size.max(initial=0.0))
        if not np.isfinite(largest) or not np.isfinite(scale):
            return _nonfinite_block(p, q, noise)
        total = float(gap @ ones)  # a product adds twice as fast as a sum
        size += 1
        np.divide(gap, size, out=gap)
        tolerance = float(gap.max(initial=0.0))
        return Tally(
            size=p.size,
            equal=largest == 0,
            max_abs=largest,
            max_rel=scale,
            sum_abs=total,
            tolerance=tolerance,
            beyond=int(np.count_nonzero(gap > noise)) if tolerance > noise else 0,
            noise=noise,
            dot=float(p @ q),
            squares=(float(p @ p), float(q @ q)),
        )


def _nonfinite_block(p: npt.NDArray[Any], q: npt.NDArray[Any], noise: float) -> Tally:
    """As ``_block``: equal NaN and infinities are no difference, unequal ones an infinite one."""
    same = (p == q) | (np.isnan(p) & np.isnan(q))
    finite = np.isfinite(p) & np.isfinite(q)
    rest = _block(p[finite], q[finite], noise)
    clash = int(np.count_nonzero(~same & ~finite))
    far = float("inf") if clash else 0.0
    return replace(
        rest,
        size=p.size,
        equal=rest.equal and not clash,
        max_abs=max(rest.max_abs, far),
        sum_abs=rest.sum_abs + far,
        tolerance=max(rest.tolerance, far),
        beyond=rest.beyond + clash,
        nonfinite=(int(np.count_nonzero(~np.isfinite(p))), int(np.count_nonzero(~np.isfinite(q)))),
    )
