"""Features as ``predict`` gives them, from one graph for batches of any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

#: From images and a batch size to features.
Extraction = Callable[[npt.NDArray[Any], int], npt.NDArray[Any]]


def by_predict(extractor: keras.Model) -> Extraction:
    """What ``predict`` itself gives, for models that may do anything in it."""
    return lambda images, batch_size: np.asarray(extractor.predict(images, batch_size=batch_size, verbose=0))


def by_its_step(extractor: keras.Model) -> Extraction:
    """The same to the last bit, of a model of Keras' own, in half the time where images are few.

    ``predict`` makes a data set for each split, and traces its step for one size of batch and again for any.
    """

    def run(images: npt.NDArray[Any], batch_size: int) -> npt.NDArray[Any]:
        starts = range(0, len(images), batch_size)
        return np.concatenate([step(tf.constant(images[start : start + batch_size])).numpy() for start in starts])

    image = tf.TensorSpec((None, *extractor.inputs[0].shape[1:]), tf.float32)
    step = tf.function(lambda batch: extractor.predict_step((batch,)), autograph=False, input_signature=[image])
    return run
