"""Tensors of nested structures, as NumPy arrays that share their memory."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

Arrays = tuple[npt.NDArray[Any], ...]


def tensors_of(structure: Any) -> tuple[Any, ...]:
    """All tensors of a nested structure in order; a ragged or sparse one as the dense tensors that it consists of."""
    found: list[Any] = []
    for leaf in keras.tree.flatten(structure):
        if isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
            found += tf.nest.flatten(leaf, expand_composites=True)
        elif is_tensor(leaf):
            found.append(leaf)
    return tuple(found)


def arrays_of(structure: Any) -> Arrays:
    """All tensors of a nested structure as NumPy arrays, in order."""
    return tuple(array_of(tensor) for tensor in tensors_of(structure))


def array_of(tensor: Any) -> npt.NDArray[Any]:
    """A view of a concrete tensor's memory; a copy where NumPy has no name for its type."""
    if isinstance(tensor, np.ndarray):
        return tensor
    try:
        return np.asarray(memoryview(tensor))
    except (TypeError, ValueError, BufferError):
        return np.asarray(keras.ops.convert_to_numpy(tensor) if tensor.dtype != tf.string else tensor.numpy())


def is_tensor(leaf: Any) -> bool:
    """Whether a leaf of a structure holds numbers of the model's."""
    return keras.ops.is_tensor(leaf) or isinstance(leaf, np.ndarray)
