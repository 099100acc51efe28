"""The head: the same layers under the same names in both arms."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.errors import InputError
from equivcheck.spec.model import LayerCall

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def build():
    from equivcheck.arms.head import build_layers

    def of(*calls, **options):
        return build_layers([LayerCall(name=name, arguments=arguments) for name, arguments in calls], **options)

    return of


def test_names_do_not_depend_on_what_was_built_before(build):
    calls = ("dense", {"units": 4}), ("dropout", {"rate": 0.5}), ("dense", {"units": 2}), ("dense", {"units": 1})
    names = ["head_dense", "head_dropout", "head_dense_1", "head_dense_2"]
    assert [layer.name for layer in build(*calls)] == names
    assert [layer.name for layer in build(*calls)] == names


def test_a_name_or_prefix_of_ones_own(build):
    first, second = build(("dense", {"units": 2, "name": "mine"}), ("flatten", {}), prefix="augmentation_")
    assert (first.name, second.name) == ("mine", "augmentation_flatten")


def test_arguments_reach_keras(build):
    (layer,) = build(
        (
            "dense",
            {"units": 2, "activation": "softmax", "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.25}}},
        )
    )
    assert (layer.units, layer.activation.__name__) == (2, "softmax")
    assert float(layer.kernel_regularizer.l2) == 0.25


def test_one_seed_one_head(build):
    import keras

    def weights():
        keras.utils.set_random_seed(5)
        return keras.Sequential(
            [keras.Input((3,)), *build(("dense", {"units": 4}), ("dense", {"units": 2}))]
        ).get_weights()

    for one, other in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("dense", {"units": -1}, "dense: Received an invalid value for `units`"),
        ("dense", {"units": 2, "bogus": 1}, "dense: Unrecognized keyword arguments passed to Dense: {'bogus': 1}"),
        ("dense", {"units": 2, "activation": "zzz"}, "dense: Could not interpret activation function identifier: zzz"),
        ("dense", {}, "dense: "),
        ("dropout", {"rate": 2}, "dropout: Invalid value received for argument `rate`."),
        ("dropout", {"rate": "a"}, "dropout: "),
    ],
)
def test_arguments_that_keras_refuses_are_said_in_one_line(build, name, arguments, message):
    with pytest.raises(InputError) as raised:
        build((name, arguments))
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("model", [True, False], ids=["bottleneck", "frozen"])
@pytest.mark.parametrize(
    ("calls", "message"),
    [
        (
            (("dropout", {"rate": 0.5}), ("batch_normalization", {"axis": 7})),
            r"^batch_normalization: Keras raised IndexError: \w+ index out of range$",
        ),
        (
            (("dense", {"units": 2}), ("conv2d", {"filters": 2, "kernel_size": 3})),
            r"^conv2d: .*expected min_ndim=4, found ndim=2",
        ),
    ],
)
def test_a_layer_that_does_not_take_its_input_is_named(build, model, calls, message):
    """Whatever Keras raises: an axis that is not there is an IndexError."""
    import keras

    from equivcheck.arms.head import apply_layers, head_model

    layers = build(*calls)
    with pytest.raises(InputError, match=message):
        head_model(layers, (4,)) if model else apply_layers(layers, keras.Input((4,)))


def test_too_little_memory_is_not_the_specs_fault():
    from equivcheck.arms.said import refused

    with pytest.raises(MemoryError), refused("dense"):
        raise MemoryError


def test_units_of_a_row():
    from equivcheck.arms.head import units_of

    assert units_of((None, 5)) == 5


@pytest.mark.parametrize(
    ("shape", "way_out"),
    [
        ((None, 3, 3, 5), "add - flatten or global_average_pooling2d to the head"),
        ((None, 9, 5), "add - flatten or global_average_pooling1d to the head"),
        ((None, 2, 3, 3, 5), "add - flatten to the head"),
    ],
)
def test_units_of_a_map(shape, way_out):
    from equivcheck.arms.head import units_of

    with pytest.raises(InputError) as raised:
        units_of(shape)
    assert f"the head's output has shape {shape}" in str(raised.value)
    assert way_out in str(raised.value)


@pytest.mark.parametrize(
    ("outputs", "labels", "loss", "classes"),
    [
        (5, "sparse", "sparse_categorical_crossentropy", 5),
        (5, "one_hot", "categorical_crossentropy", 5),
        (2, "sparse", "sparse_categorical_crossentropy", 2),
        (1, "binary", "binary_crossentropy", 2),
        (1, "sparse", "binary_crossentropy", 2),
        (1, "binary", "mean_squared_error", 2),
        (2, "one_hot", "binary_crossentropy", 2),
        (3, "sparse", "categorical_crossentropy", 3),
    ],
)
def test_heads_that_fit(outputs, labels, loss, classes):
    """Labels that do not fit the loss are a finding (EQ302), not an input error."""
    from equivcheck.arms.head import check_head

    check_head(outputs, labels, loss, classes)


@pytest.mark.parametrize(
    ("outputs", "labels", "loss", "classes", "message"),
    [
        (4, "sparse", "sparse_categorical_crossentropy", 5, "the head has 4 outputs but the data has 5 classes"),
        (20, "one_hot", "categorical_crossentropy", 5, "the head has 20 outputs but the data has 5 classes"),
        (1, "sparse", "sparse_categorical_crossentropy", 2, "the head has 1 outputs but the data has 2 classes"),
        (1, "binary", "binary_crossentropy", 3, "binary labels need two classes; the data has 3"),
        (1, "sparse", "binary_focal_crossentropy", 3, "binary labels need two classes; the data has 3"),
        (2, "binary", "binary_crossentropy", 2, "binary labels need a head with 1 output; it has 2"),
    ],
)
def test_heads_that_do_not(outputs, labels, loss, classes, message):
    from equivcheck.arms.head import check_head

    with pytest.raises(InputError) as raised:
        check_head(outputs, labels, loss, classes)
    assert str(raised.value) == message
