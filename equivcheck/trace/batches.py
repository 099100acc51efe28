"""Batches from wherever a user has them, each once and in order."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import count, cycle, islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from equivcheck.arms.said import described
from equivcheck.errors import InputError

#: Batches after which an iterator that does not say how many it has is said to be long: it may have no end.
LONG = 64
#: Batches after which it is taken to have none: at 32 to a batch, as many samples as CIFAR and MNIST have four times.
UNSIZED = 10_000

_Tensors = np.ndarray | tf.Tensor | tf.Variable | keras.Variable | tf.RaggedTensor | tf.SparseTensor


def batches_of(source: Any, *, batch_size: int, most: int | None) -> Iterator[Any]:
    """The inputs of batch after batch, as tensors.

    Args:
        source: Samples (an array, or a dictionary of arrays for a model with several inputs), or batches (a
            ``tf.data.Dataset``, a ``PyDataset`` or any iterable). Of a batch that is a tuple, the first part is the
            input, as in ``fit``.
        batch_size: Samples to a batch, where the source is samples.
        most: Batches to take at most.

    Raises:
        InputError: It is none of these, has no batch, or says that it has no end.
    """
    taken = 0
    for batch in islice(_read(_raw(source, batch_size, most)), most):
        tensors = keras.tree.map_structure(_tensor, _input_of(batch))
        if _sizes(tensors) != {0}:
            taken += 1
            yield tensors
    if not taken:
        raise InputError("batches: there is not one sample in them; give at least one batch")


def samples_in(batch: Any) -> int:
    """Samples of a batch."""
    return _length(keras.tree.flatten(batch)[0])


def rows_of(batch: Any, start: int, stop: int) -> Any:
    """Some samples of a batch."""
    return keras.tree.map_structure(lambda tensor: _rows(tensor, start, stop), batch)


def _raw(source: Any, batch_size: int, most: int | None) -> Iterator[Any]:
    if isinstance(source, _Tensors):
        return _slices(_tensor(source), batch_size)
    if isinstance(source, Mapping):
        columns = {name: np.asarray(x) if isinstance(x, list | tuple) else x for name, x in source.items()}
        return _slices(keras.tree.map_structure(_tensor, columns), batch_size)
    if isinstance(source, tf.data.Dataset):
        size = int(source.cardinality())
        if most is None and size == tf.data.INFINITE_CARDINALITY:
            raise _endless("dataset")
        return _cautiously(source) if most is None and size == tf.data.UNKNOWN_CARDINALITY else iter(source)
    if isinstance(source, keras.utils.PyDataset):
        return _items(source, most)
    if isinstance(source, cycle) and most is None:
        raise _endless("iterator")
    if isinstance(source, Iterable) and not isinstance(source, str | bytes):
        return iter(source) if isinstance(source, Sized) or most is not None else _cautiously(source)
    raise InputError(
        f"batches: expected an array, a tf.data.Dataset, a PyDataset or an iterable of batches, found "
        f"{type(source).__name__}"
    )


def _slices(source: Any, batch_size: int) -> Iterator[Any]:
    count = max(_sizes(source))
    return (rows_of(source, start, min(start + batch_size, count)) for start in range(0, count, batch_size))


def _items(source: Any, most: int | None) -> Iterator[Any]:
    try:
        count = source.num_batches
    except NotImplementedError:
        raise InputError("batches: this PyDataset does not say how many batches it has; give it __len__") from None
    if count is None and most is None:
        raise _endless("PyDataset")
    return (source[index] for index in range(most or 0 if count is None else count))


def _read(batches: Iterator[Any]) -> Iterator[Any]:
    """Passes batches on; what their source raises is about the batches, not about us."""
    for number in count(1):
        try:
            batch = next(batches)
        except StopIteration:
            return
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"batches: reading batch {number} raised {described(error)}") from error
        yield batch


def _sizes(batch: Any) -> set[int]:
    """The number of samples, which all tensors have in common; nothing where there is no tensor."""
    sizes = {_length(tensor) for tensor in keras.tree.flatten(batch)}
    if len(sizes) > 1:
        raise InputError(f"batches: the arrays hold different numbers of samples: {sorted(sizes)}")
    return sizes or {0}


def _length(tensor: Any) -> int:
    if isinstance(tensor, tf.RaggedTensor):
        return int(tensor.nrows())
    return int(tensor.dense_shape[0] if isinstance(tensor, tf.SparseTensor) else tf.shape(tensor)[0])


def _rows(tensor: Any, start: int, stop: int) -> Any:
    if not isinstance(tensor, tf.SparseTensor):
        return tensor[start:stop]
    size = min(stop, _length(tensor)) - start
    return tf.sparse.slice(tensor, [start] + [0] * (len(tensor.shape) - 1), [size, *tensor.dense_shape[1:]])


def _cautiously(source: Iterable[Any]) -> Iterator[Any]:
    """An iterator of unknown length: only reading tells whether it ends, so whoever waits is told why."""
    iterator = iter(source)
    yield from islice(iterator, LONG)
    for number, batch in enumerate(islice(iterator, UNSIZED - LONG)):
        if number == 0:
            warnings.warn(
                f"batches: this iterator does not say how long it is; reading on after {LONG} batches. If it has no "
                f"end, pass max_batches=",
                stacklevel=2,
            )
        yield batch
    for _ in islice(iterator, 1):
        raise InputError(
            f"batches: this iterator does not say how long it is, and has more than {UNSIZED} batches: it seems "
            f"to have no end. Pass max_batches= to say how many to take"
        )


def _endless(kind: str) -> InputError:
    return InputError(f"batches: this {kind} has no end; pass max_batches= to say how many batches to take")


def _input_of(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple) and batch else batch


def _tensor(leaf: Any) -> Any:
    if isinstance(leaf, tf.RaggedTensor | tf.SparseTensor):
        return leaf
    if isinstance(leaf, np.ndarray) and leaf.dtype == np.float64:
        leaf = leaf.astype(keras.config.floatx())  # as fit and predict do
    try:
        tensor = tf.convert_to_tensor(leaf)
    except (ValueError, TypeError) as error:
        raise InputError(f"batches: a batch holds {type(leaf).__name__}, which is no tensor: {error}") from None
    if tensor.shape.rank == 0:
        raise InputError("batches: a batch holds a single value; a batch has the samples along its first axis")
    return tensor
