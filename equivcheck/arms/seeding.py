"""Sets every seed of the process without TensorFlow's forgetting the graphs that it has made ready to run."""

from __future__ import annotations

import random

import keras
import numpy as np
from keras.src.backend.common.global_state import set_global_attribute  # no public writer
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
from tensorflow.python.eager import context  # no public writer


def set_seeds(seed: int, *, made_by: str | None = None) -> None:
    """Sets what ``keras.utils.set_random_seed`` sets.

    That one also drops every kernel that holds a seed, and with them all others: each traced graph then takes a tenth
    of a second to be optimised and placed again. That is only needed where something draws from TensorFlow's own
    stateful generators. Stock layers do not, nor do data sets, whose functions are instantiated afresh anyway.

    Args:
        seed: The seed.
        made_by: The user's function that made what runs next, which may draw from anything; None for stock layers.
    """
    if made_by is not None:
        keras.utils.set_random_seed(seed)
        return
    set_global_attribute(GLOBAL_RANDOM_SEED, seed)
    set_global_attribute(GLOBAL_SEED_GENERATOR, None)  # made again when it is asked for
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (the one that Keras seeds)
    eager = context.context()
    eager._seed = seed  # noqa: SLF001  (as tf.random.set_seed)
    eager._rng = random.Random(seed)  # noqa: S311, SLF001
