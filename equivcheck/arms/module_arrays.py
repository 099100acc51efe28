"""Float arrays that the user's modules hold: what works on one of them in place changes it for whoever comes next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from equivcheck.arms.user_code import user_modules

Arrays = Mapping[str, npt.NDArray[Any]]


@contextmanager
def rescaled_arrays(function: str) -> Iterator[dict[str, npt.NDArray[Any]]]:
    """Collects, on leaving, the arrays whose range was changed meanwhile, by ``module.NAME``.

    Only their range is looked at: rows in another order are no preprocessing, and copies would cost memory.

    Args:
        function: ``module:function`` of the user's that runs inside.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    before = _ranges(_arrays(function))
    yield found
    now = _arrays(function)
    after = _ranges({name: now[name] for name in before if name in now})
    found |= {name: now[name] for name, range_now in after.items() if range_now != before[name]}


def _arrays(function: str) -> Arrays:
    """What can be written to and is a float array: ``preprocess_input`` makes a copy of integers."""
    return {
        f"{module.__name__}.{name}": value
        for module in user_modules(function)
        for name, value in vars(module).items()
        if isinstance(value, np.ndarray)
        and not isinstance(value, np.memmap)
        and value.dtype.kind == "f"
        and value.flags.writeable
        and value.size
    }


def _ranges(arrays: Arrays) -> dict[str, tuple[float, float]]:
    found = {name: (float(array.min()), float(array.max())) for name, array in arrays.items()}
    return {name: values for name, values in found.items() if np.isfinite(values).all()}
