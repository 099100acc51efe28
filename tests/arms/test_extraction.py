"""Features of one graph are those of ``predict``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def extractor():
    """Everything whose kernel or whose mode could differ."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, use_bias=False)(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(max_value=6)(x)
    x = keras.layers.DepthwiseConv2D(3)(x)
    x = keras.layers.Dropout(0.5)(x)
    model = keras.Model(inputs, keras.layers.Dense(5, "swish")(keras.layers.Flatten()(x)))
    model.get_layer("norm").moving_mean.assign([0.1, 0.2, 0.3, 0.4])
    return model


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_they_are_those_of_predict_to_the_last_bit(extractor, batch_size):
    """Of a split of whole batches, of one with a smaller last batch, and of one that is a single batch."""
    from equivcheck.arms.extraction import by_its_step, by_predict

    run, predict = by_its_step(extractor), by_predict(extractor)
    for samples in (6, 7, 2):
        images = np.random.default_rng(samples).random((samples, 8, 8, 3), np.float32)
        np.testing.assert_array_equal(run(images, batch_size), predict(images, batch_size))


def test_one_graph_does_for_all(extractor, monkeypatch):
    from equivcheck.arms.extraction import by_its_step

    traced = []
    plain = extractor.predict_step
    monkeypatch.setattr(extractor, "predict_step", lambda data: traced.append(data) or plain(data))
    run = by_its_step(extractor)
    for samples in (6, 7, 2):
        assert run(np.zeros((samples, 8, 8, 3), np.float32), 4).shape == (samples, 5)
    assert len(traced) == 1


def test_a_backbone_that_serves_again_is_not_traced_again(tiny, monkeypatch):
    """Of two batch sizes, as in an advice to take another."""
    import keras

    from equivcheck.arms.build import Builder
    from equivcheck.spec import resolve

    traced = []
    plain = keras.Model.predict_step
    monkeypatch.setattr(keras.Model, "predict_step", lambda model, data: traced.append(model) or plain(model, data))
    builder = Builder(resolve(tiny))
    builder.build("bottleneck")
    replace(builder, experiment=resolve(tiny.patched({"training.batch_size": 4}))).build("bottleneck")
    assert len(traced) == 1
