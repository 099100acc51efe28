"""Tensors of any type and structure as NumPy arrays."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.mark.parametrize(
    "kind",
    [
        "float16",
        "bfloat16",
        "float32",
        "float64",
        "int8",
        "uint8",
        "int32",
        "int64",
        "bool",
        "complex64",
    ],
)
def test_every_type_keeps_its_values(kind):
    import tensorflow as tf

    from equivcheck.trace.arrays import array_of

    tensor = tf.cast(tf.constant([[0, 1], [1, 1]]), kind)
    array = array_of(tensor)
    assert (array.shape, array.dtype) == ((2, 2), tf.as_dtype(kind).as_numpy_dtype)
    np.testing.assert_array_equal(array.astype(complex), [[0, 1], [1, 1]])


def test_text_comes_as_bytes():
    import tensorflow as tf

    from equivcheck.trace.arrays import array_of

    assert array_of(tf.constant([["a", "bé"]])).tolist() == [[b"a", "bé".encode()]]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0, 3)])
def test_nothing_and_single_numbers(shape):
    import tensorflow as tf

    from equivcheck.trace.arrays import array_of

    assert array_of(tf.zeros(shape)).shape == shape


def test_memory_is_shared_where_numpy_knows_the_type():
    import tensorflow as tf

    from equivcheck.trace.arrays import array_of

    tensor = tf.random.stateless_uniform([1000], (1, 2))
    assert np.shares_memory(array_of(tensor), array_of(tensor))


def test_an_array_is_itself_and_a_variable_its_value():
    import keras

    from equivcheck.trace.arrays import array_of

    array = np.arange(3)
    assert array_of(array) is array
    np.testing.assert_array_equal(array_of(keras.Variable([1.0, 2.0])), [1.0, 2.0])


def test_a_structure_gives_its_tensors_in_order():
    """A ragged or sparse tensor as the dense ones it consists of; what is no tensor is left out."""
    import tensorflow as tf

    from equivcheck.trace.arrays import arrays_of, tensors_of

    ragged = tf.ragged.constant([[1, 2], [3]])
    sparse = tf.sparse.from_dense([[0.0, 5.0]])
    structure = {"b": (ragged, None, "text"), "a": [tf.constant(1.0), True, sparse]}
    assert [array.tolist() for array in arrays_of(structure)] == [
        1.0,
        [[0, 1]],
        [5.0],
        [1, 2],
        [1, 2, 3],
        [0, 2, 3],
    ]
    assert tensors_of(((), {}, None)) == ()
