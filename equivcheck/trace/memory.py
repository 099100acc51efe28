"""What variables hold, read and written by TensorFlow's own operations.

Keras' and TensorFlow's wrappers around them take three to ten times as long, and every replay does this hundreds of
times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.ops.resource_variable_ops import ResourceVariable  # the public name is its base

from equivcheck.trace.arrays import array_of


def raw(variable: Any) -> Any:
    """TensorFlow's variable behind one of Keras, whose public ``value`` is cast inside a layer of half precision."""
    if not isinstance(variable, keras.Variable):
        return variable
    held = variable._value  # noqa: SLF001
    return variable.value if held is None else held


def values_of(variables: Sequence[Any]) -> list[tf.Tensor]:
    """What variables hold; nothing is copied, because an assignment takes other memory."""
    return [_read(raw(variable)) for variable in variables]


def assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    """Sets variables to what they held before, or to what others of the same shapes and types hold."""
    for variable, value in zip(variables, values, strict=True):
        _write(raw(variable), value)


def same_memory(one: tf.Tensor, other: tf.Tensor) -> bool:
    """Whether two tensors that a variable held are one piece of memory: then nothing was assigned in between."""
    if one is other:
        return True
    left, right = array_of(one), array_of(other)
    same = left.shape == right.shape and left.dtype == right.dtype
    return same and left.ctypes.data == right.ctypes.data


def hold_the_same(values: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> bool:
    """Whether values are equal, one by one."""
    return len(values) == len(others) and all(
        same_memory(one, other) or np.array_equal(one.numpy(), other.numpy(), equal_nan=True)
        for one, other in zip(values, others, strict=True)
    )


def _read(variable: Any) -> tf.Tensor:
    if not _is_plain(variable):
        return tf.convert_to_tensor(variable)
    value: tf.Tensor = tf.raw_ops.ReadVariableOp(resource=variable.handle, dtype=variable.dtype)
    return value


def _write(variable: Any, value: Any) -> None:
    if not _is_plain(variable):
        variable.assign(value, read_value=False)
        return
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def _is_plain(variable: Any) -> bool:
    """Whether it is one resource and no more: a distributed variable is several."""
    return type(variable) is ResourceVariable
