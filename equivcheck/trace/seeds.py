"""Leaves every seed of the process as it was, also where arms are built in the midst of somebody else's training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute  # no public reader
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
from tensorflow.python.eager import context  # no public reader

from equivcheck.trace.state import unmoved_generators


@contextmanager
def unmoved_seeds() -> Iterator[None]:
    """Puts back what ``keras.utils.set_random_seed`` sets, and what is drawn in between.

    That is more than ``unmoved_generators`` does: TensorFlow's seed too, from which a data set draws its order.
    """
    names = (GLOBAL_RANDOM_SEED, GLOBAL_SEED_GENERATOR)
    kept = [(name, get_global_attribute(name)) for name in names]
    eager = context.context()
    seed, drawn = eager._seed, getattr(eager, "_rng", None)  # noqa: SLF001  (as above)
    state = None if drawn is None else drawn.getstate()
    try:
        with unmoved_generators():
            yield
    finally:
        for name, value in kept:
            set_global_attribute(name, value)
        eager._seed = seed  # noqa: SLF001
        if drawn is not None:
            drawn.setstate(state)
            eager._rng = drawn  # noqa: SLF001
