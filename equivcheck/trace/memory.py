"""What variables hold, read and written by TensorFlow's own operations.

Keras' and TensorFlow's wrappers around them take three to ten times as long, and every replay does this hundreds of
times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.eager.context import context  # where operations without a public name run
from tensorflow.python.eager.execute import quick_execute
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
    held = list(map(raw, variables))
    if tf.executing_eagerly() and all(map(_is_plain, held)) and len({each.handle.device for each in held}) == 1:
        return _read_together(held)
    return list(map(_read, held))


def put_back(variables: Sequence[Any], values: Sequence[tf.Tensor]) -> None:
    """Sets those of the variables to what they held before that hold something else now: mostly few do."""
    now = zip(variables, values, values_of(variables), strict=True)
    moved = [(variable, before) for variable, before, held in now if not same_memory(before, held)]
    assign([variable for variable, _ in moved], [before for _, before in moved])


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
    return same and (not left.size or _address(left) == _address(right))


def hold_the_same(values: Sequence[tf.Tensor], others: Sequence[tf.Tensor]) -> bool:
    """Whether values are equal, one by one."""
    return len(values) == len(others) and all(
        same_memory(one, other) or np.array_equal(one.numpy(), other.numpy(), equal_nan=True)
        for one, other in zip(values, others, strict=True)
    )


def _address(array: npt.NDArray[Any]) -> int:
    """Where it lies in memory; ``ctypes`` tells the same more slowly."""
    return int(array.__array_interface__["data"][0])


def _read_together(variables: Sequence[ResourceVariable]) -> list[tf.Tensor]:
    """By one operation, in a tenth of the time of one for each; of TensorFlow's own, but without a public name."""
    types = tuple(variable.dtype.as_datatype_enum for variable in variables)
    attributes = ("N", len(variables), "dtypes", types)
    handles = [variable.handle for variable in variables]
    return list(quick_execute("_ReadVariablesOp", len(variables), handles, attributes, context()))


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
