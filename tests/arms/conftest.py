"""Small data sets and specs of arms."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from equivcheck.spec import load, resolve

SPEC = """\
version: 1
data:
  train: {{directory: {images}}}
  validation: {{directory: {images}}}
  image_size: [8, 8]
backbone:
{backbone}
head:
  - dropout: {{rate: 0.5}}
  - dense: {{units: 2, activation: softmax}}
training:
  optimizer: {{name: sgd, learning_rate: 0.1}}
  loss: sparse_categorical_crossentropy
  epochs: 2
  batch_size: 4
"""


@pytest.fixture
def images(tmp_path):
    """Five pictures in two classes; each is recognised by its red, and its noise."""
    generator = np.random.default_rng(0)
    for row, name in enumerate(("cat/1", "cat/2", "cat/3", "dog/1", "dog/2")):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (8, 8, 3), np.uint8)
        pixels[..., 0] = 10 * row
        Image.fromarray(pixels).save(path)
    return tmp_path / "images"


@pytest.fixture
def experiment(tmp_path, images):
    """A resolved spec on those pictures."""

    def of(backbone="  file: base.keras", arms=""):
        text = SPEC.format(images=images, backbone=backbone) + arms
        (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
        return resolve(load(tmp_path / "spec.yaml"))

    return of
