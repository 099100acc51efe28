"""What tests of every folder share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tensorflow():
    """TensorFlow, quiet and deterministic, brought up as the pipeline does."""
    from equivcheck import runtime

    runtime.prepare()
    import tensorflow as tf

    return tf


TINY = """\
version: 1
data:
  train: {npz: data.npz}
  validation: {npz: validation.npz}
  image_size: [8, 8]
backbone: {file: backbone.keras, cut: features}
preprocessing: {rescale: 0.01}
head: [dense: {units: 3, activation: softmax}]
labels: sparse
training: {loss: sparse_categorical_crossentropy, epochs: 2, batch_size: 8, seed: 0}
"""


@pytest.fixture(scope="session")
def tiny(tensorflow, tmp_path_factory):
    """A clean spec that is measured in a second: 20 images of noise, a convolution, and dropout behind the cut."""
    import keras
    import numpy as np

    from equivcheck.spec import load

    folder: Path = tmp_path_factory.mktemp("tiny")
    random = np.random.default_rng(0)
    np.savez(folder / "data.npz", x=random.integers(0, 256, (20, 8, 8, 3), np.uint8), y=random.permutation(20) % 3)
    others = random.integers(0, 256, (20, 8, 8, 3), np.uint8)
    np.savez(folder / "validation.npz", x=others, y=random.permutation(20) % 3)
    keras.utils.set_random_seed(0)
    keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(6, 3, activation="relu", name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.GlobalAveragePooling2D(name="features"),
            keras.layers.Dropout(0.5, name="dropout"),
        ],
        name="backbone",
    ).save(folder / "backbone.keras")
    (folder / "spec.yaml").write_text(TINY, encoding="utf-8")
    return load(folder / "spec.yaml")
