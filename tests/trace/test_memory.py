"""Reading variables and putting back what moved: by few operations, whatever they are."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def variables():
    import keras
    import tensorflow as tf

    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    states = np.array([1, 2], np.uint32)
    return [
        keras.Variable(numbers),
        keras.Variable(states, dtype="uint32", trainable=False),
        keras.Variable(3, dtype="int64"),
        tf.Variable(numbers.astype(np.float16)),
        keras.Variable(np.zeros((0, 2), np.float32)),
    ]


def test_it_reads_what_they_hold_and_copies_nothing(variables):
    import keras

    from equivcheck.trace.memory import same_memory, values_of

    first, second = values_of(variables), values_of(variables)
    for variable, value in zip(variables, first, strict=True):
        held = keras.ops.convert_to_numpy(variable)
        np.testing.assert_array_equal(value.numpy(), held, strict=True)
    assert all(map(same_memory, first, second))
    assert values_of([]) == []


def test_what_was_read_stays_when_the_variable_moves_on(variables):
    from equivcheck.trace.memory import values_of

    number = variables[0]
    (before,) = values_of([number])
    number.value.assign_add(np.ones((2, 3), np.float32))
    number.value.scatter_nd_update([[0]], np.zeros((1, 3), np.float32))
    np.testing.assert_array_equal(before.numpy(), np.arange(6).reshape(2, 3))


def test_it_puts_back_those_that_moved_and_touches_no_other(variables, monkeypatch):
    from equivcheck.trace import memory

    before = memory.values_of(variables)
    kept = [value.numpy().copy() for value in before]
    moved = variables[1], variables[3]
    moved[0].assign(np.array([7, 8], np.uint32))
    moved[1].scatter_nd_update([[1]], np.ones((1, 3), np.float16))
    written, plain = [], memory.assign
    monkeypatch.setattr(memory, "assign", lambda some, values: written.extend(some) or plain(some, values))
    memory.put_back(variables, before)
    assert [id(variable) for variable in written] == [id(variable) for variable in moved]
    for value, expected in zip(memory.values_of(variables), kept, strict=True):
        np.testing.assert_array_equal(value.numpy(), expected, strict=True)


def test_variables_of_a_traced_function_are_read_in_it():
    """Where there are no values yet, each is read by an operation of the graph."""
    import tensorflow as tf

    from equivcheck.trace.memory import values_of

    one = tf.Variable([1.0, 2.0])
    double = tf.function(lambda: values_of([one])[0] * 2)
    np.testing.assert_array_equal(double().numpy(), [2.0, 4.0])
    one.assign([3.0, 4.0])
    np.testing.assert_array_equal(double().numpy(), [6.0, 8.0])
