"""The names that a spec may use, against the installed Keras."""

from __future__ import annotations

import pytest

from equivcheck.spec import keras_names


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("GlobalAveragePooling2D", "global_average_pooling2d"),
        ("BatchNormalization", "batch_normalization"),
        ("ReLU", "re_lu"),
        ("PReLU", "p_re_lu"),
        ("ELU", "elu"),
        ("RMSNormalization", "rms_normalization"),
        ("Dense", "dense"),
    ],
)
def test_snake_case(name, snake):
    assert keras_names.snake_case(name) == snake


def test_both_lists_of_layers_have_classes():
    assert set(keras_names.LAYERS) == {*keras_names.HEAD, *keras_names.AUGMENTATION}


def test_no_layer_runs_code():
    assert not {"lambda", "torch_module_wrapper", "jax_layer", "flax_layer", "tfsm_layer"} & set(keras_names.LAYERS)


@pytest.mark.tensorflow
def test_names_are_those_of_the_installed_keras():
    import keras
    from keras.src.utils.naming import to_snake_case

    functions = {
        name for name in dir(keras.applications) if name[0].isupper() and callable(getattr(keras.applications, name))
    }
    assert set(keras_names.APPLICATIONS) == functions | {"inception_v4"}
    modules = {
        name for name in dir(keras.applications) if hasattr(getattr(keras.applications, name), "preprocess_input")
    }
    assert set(keras_names.PREPROCESSING) == {name for name in modules if name[0].islower()} - {
        "imagenet_utils",
        "resnet50",
    }
    for name in keras_names.OPTIMIZERS:
        assert isinstance(keras.optimizers.get(name), keras.optimizers.Optimizer)
    for name in keras_names.LOSSES:
        assert callable(keras.losses.get(name))
    for name, kind in keras_names.LAYERS.items():
        assert issubclass(getattr(keras.layers, kind), keras.layers.Layer)
        assert name == to_snake_case(kind)
    random = {to_snake_case(name) for name in dir(keras.layers) if name.startswith("Random")}
    assert random <= set(keras_names.AUGMENTATION)


@pytest.mark.tensorflow
def test_preprocessing_is_that_of_the_module_each_application_comes_from():
    import inspect

    import keras

    applications = set(keras_names.APPLICATIONS) - {"inception_v4"}
    assert {name: keras_names.preprocessing_of(name) for name in applications} == {
        name: inspect.getmodule(getattr(keras.applications, name)).__name__.rpartition(".")[2] for name in applications
    }
    assert keras_names.preprocessing_of("inception_v4") == "inception_v3"
