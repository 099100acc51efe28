"""Arms made of any small model, and the evidence that is measured on them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

RANDOM = np.random.default_rng(0)
#: 16 small images of noise in [0, 255], and one of three classes for each.
IMAGES = RANDOM.integers(0, 256, (16, 8, 8, 3)).astype(np.float32)
CLASSES = np.tile(np.arange(3), 6)[:16][:, None]


@pytest.fixture(scope="session")
def images():
    return IMAGES.copy()


@pytest.fixture(scope="session")
def make_arm(tensorflow):
    """An arm from a model; a model that is not compiled gets a loss for three classes."""
    from equivcheck.arms.arm import Arm, Feed, Split

    def make(model, x=IMAGES, y=CLASSES, *, name="frozen", extractor=None, **fit):
        if not model.compiled:
            model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
        arguments = {"epochs": 1, "batch_size": 8, "shuffle": False, **fit}
        return Arm(name, model, Split(Feed(x, y), x), None, arguments, seed=0, extractor=extractor)

    return make


@pytest.fixture(scope="session")
def evidence_of(tensorflow, make_arm):
    """What is measured on an end-to-end model, beside a bottleneck arm of which only the features are known."""
    import keras

    from equivcheck.trace.observed import observe
    from equivcheck.trace.pair import trace_pair

    def measure(model_or_arm):
        arm = make_arm(model_or_arm) if isinstance(model_or_arm, keras.Model) else model_or_arm
        head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")], name="head")
        bottleneck = make_arm(head, np.zeros((16, 4), np.float32), name="bottleneck")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as the laboratory does: Keras warns of what is being measured
            return trace_pair(observe(bottleneck), observe(arm)).frozen

    return measure
