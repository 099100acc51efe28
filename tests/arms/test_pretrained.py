"""Which application's weights a user's network has is seen while they are loaded."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def stored(tensorflow, tmp_path_factory):
    """Files of weights as Keras would download them."""
    import keras

    folder = tmp_path_factory.mktemp("models")

    def of(make, **how):
        path = folder / f"{make.__name__}.weights.h5"
        if not path.exists():
            make(weights=None, include_top=False, **how).save_weights(path)
        return path

    return {
        "MobileNetV2": of(keras.applications.MobileNetV2, alpha=0.35, input_shape=(96, 96, 3)),
        "ResNet50V2": of(keras.applications.ResNet50V2, input_shape=(96, 96, 3)),
    }


@pytest.fixture
def downloads(monkeypatch):
    """Hands over a file in place of whatever Keras wants to download."""
    from keras.src.utils import file_utils

    return lambda path: monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(path))


@pytest.fixture
def mobilenet(stored, downloads):
    import keras

    downloads(stored["MobileNetV2"])
    return lambda weights="imagenet": keras.applications.MobileNetV2(
        weights=weights, include_top=False, alpha=0.35, input_shape=(96, 96, 3)
    )


def test_weights_of_imagenet_bring_their_preprocessing(mobilenet):
    from equivcheck.arms.pretrained import noted, preprocessing_of_weights

    with noted():
        base = mobilenet()
    given = PIXELS.copy()
    np.testing.assert_allclose(preprocessing_of_weights(base)(given), PIXELS / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(given, PIXELS)


def test_the_outermost_application_is_meant(stored, downloads):
    """ResNet50V2 is made by a function in ResNet's module, whose preprocessing is another."""
    import keras

    from equivcheck.arms.pretrained import noted, preprocessing_of_weights

    downloads(stored["ResNet50V2"])
    with noted():
        base = keras.applications.ResNet50V2(weights="imagenet", include_top=False, input_shape=(96, 96, 3))
    np.testing.assert_allclose(preprocessing_of_weights(base)(PIXELS), PIXELS / 127.5 - 1, atol=1e-6)


def test_it_is_known_within_another_model(mobilenet):
    import keras

    from equivcheck.arms.pretrained import noted, preprocessing_of_weights

    with noted():
        base = mobilenet()
    nested = keras.Sequential([keras.Input((96, 96, 3)), base, keras.layers.Flatten()])
    flat = keras.Model(base.input, keras.layers.Flatten()(base.layers[40].output))
    assert preprocessing_of_weights(nested) is not None
    assert preprocessing_of_weights(flat) is not None


def test_other_weights_say_nothing(mobilenet, stored):
    from equivcheck.arms.pretrained import noted, preprocessing_of_weights

    with noted():
        untrained, own, replaced = mobilenet(None), mobilenet(stored["MobileNetV2"]), mobilenet()
        replaced.load_weights(stored["MobileNetV2"])
    assert [preprocessing_of_weights(base) for base in (untrained, own, replaced)] == [None, None, None]


def test_two_applications_say_nothing(mobilenet, stored, downloads):
    import keras

    from equivcheck.arms.pretrained import noted, preprocessing_of_weights

    with noted():
        one = mobilenet()
        downloads(stored["ResNet50V2"])
        other = keras.applications.ResNet50V2(weights="imagenet", include_top=False, input_shape=(96, 96, 3))
    inputs = keras.Input((96, 96, 3))
    both = keras.Model(inputs, [one(inputs), other(inputs)])
    assert preprocessing_of_weights(both) is None


def test_keras_is_left_as_it_was():
    import keras

    from equivcheck.arms.pretrained import noted

    before = keras.Model.load_weights
    with pytest.raises(KeyError), noted():
        raise KeyError
    assert keras.Model.load_weights is before
