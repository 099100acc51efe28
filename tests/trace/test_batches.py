"""Batches from wherever a user has them: each once, in order, as tensors."""

from __future__ import annotations

import itertools
import warnings
from contextlib import nullcontext

import numpy as np
import pytest

from equivcheck.errors import InputError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

X = np.arange(20, dtype=np.float32).reshape(10, 2)
PARTS = (X[:4], X[4:8], X[8:])


def values(source, *, batch_size=4, most=None):
    """Batches as nested lists."""
    import keras

    from equivcheck.trace.batches import batches_of

    return [
        keras.tree.map_structure(lambda tensor: np.array(tensor).tolist(), batch)
        for batch in batches_of(source, batch_size=batch_size, most=most)
    ]


def dataset_of(*arrays):
    import tensorflow as tf

    return tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])


def py_dataset(batches, **more):
    import keras

    def item(_self, index):
        return batches[index % len(batches)]

    members = {"__getitem__": item, "__len__": lambda _self: len(batches), **more}
    return type("Given", (keras.utils.PyDataset,), members)()


SOURCES = {
    "an array": lambda: X,
    "a tensor": lambda: dataset_of(X).batch(10).get_single_element(),
    "a dataset": lambda: dataset_of(X).batch(4),
    "a dataset with labels": lambda: dataset_of(X, np.zeros(10)).batch(4),
    "a dataset with weights": lambda: dataset_of(X, np.zeros(10), np.ones(10)).batch(4),
    "a PyDataset": lambda: py_dataset([(part, np.zeros(len(part))) for part in PARTS]),
    "a PyDataset of inputs": lambda: py_dataset(PARTS),
    "a list": lambda: list(PARTS),
    "a tuple of batches": lambda: PARTS,
    "a list of pairs": lambda: [(part, None) for part in PARTS],
    "a generator": lambda: (part for part in PARTS),
    "an iterator": lambda: iter(PARTS),
    "numbers in lists": lambda: [np.asarray(part.tolist()) for part in PARTS],
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_same_batches_whatever_they_come_from(kind):
    """The last one is smaller; labels and weights are not the model's input."""
    assert values(SOURCES[kind]()) == [part.tolist() for part in PARTS]


@pytest.mark.parametrize("kind", SOURCES)
def test_not_more_than_is_asked_for(kind):
    assert values(SOURCES[kind](), most=2) == [part.tolist() for part in PARTS[:2]]


@pytest.mark.parametrize("size", [1, 3, 10, 11])
def test_samples_are_cut_into_batches(size):
    found = values(X, batch_size=size)
    assert list(itertools.chain(*found)) == X.tolist()
    assert [len(batch) for batch in found[:-1]] == [size] * (len(found) - 1)


def test_a_dictionary_of_samples():
    assert values({"a": X[:3], "b": X[:3, 0].tolist()}, batch_size=2) == [
        {"a": X[:2].tolist(), "b": [0.0, 2.0]},
        {"a": X[2:3].tolist(), "b": [4.0]},
    ]


def test_batches_may_differ_in_size():
    sizes = [3, 1, 5, 2]
    assert [len(batch) for batch in values([X[:size] for size in sizes])] == sizes


def test_empty_batches_are_passed_over():
    assert values([X[:0], X[:2], X[:0]]) == [X[:2].tolist()]


@pytest.mark.parametrize("most", [None, 1, 3, 5])
def test_each_element_is_pulled_once(most):
    """And none more than asked for: it may be a stream that somebody reads on from."""
    pulled = []

    def generate():
        for number in range(5):
            pulled.append(number)
            yield X[:2] + number

    assert len(values(generate(), most=most)) == (most or 5)
    assert pulled == list(range(most or 5))


def test_batches_are_pulled_when_they_are_needed():
    from equivcheck.trace.batches import batches_of

    pulled = []
    stream = batches_of((pulled.append(number) or X for number in range(3)), batch_size=1, most=None)
    next(stream)
    assert pulled == [0]


def test_ragged_samples():
    import tensorflow as tf

    from equivcheck.trace.batches import batches_of, samples_in

    ragged = tf.ragged.constant([[1], [2, 3], [], [4]])
    found = list(batches_of({"words": ragged, "other": X[:4]}, batch_size=3, most=None))
    assert [batch["words"].to_list() for batch in found] == [[[1], [2, 3], []], [[4]]]
    assert [samples_in(batch) for batch in found] == [3, 1]


def test_sparse_samples():
    import tensorflow as tf

    from equivcheck.trace.batches import batches_of, samples_in

    found = list(batches_of(tf.sparse.from_dense(np.eye(5)), batch_size=3, most=None))
    assert [samples_in(batch) for batch in found] == [3, 2]
    np.testing.assert_array_equal(np.concatenate([tf.sparse.to_dense(batch) for batch in found]), np.eye(5))


def test_types_are_those_of_fit():
    """Keras makes the floats of an array its own; all others stay."""
    import tensorflow as tf

    from equivcheck.trace.batches import batches_of

    kinds = {"float64": "float32", "float16": "float16", "int64": "int64", "uint8": "uint8", "bool": "bool"}
    for given, expected in kinds.items():
        assert next(batches_of(X.astype(given), batch_size=2, most=None)).dtype == expected
    assert next(batches_of(np.array(["a", "b"]), batch_size=2, most=None)).dtype == tf.string


def endless_generator():
    return (X for _ in itertools.count())


ENDLESS = {
    "a generator": endless_generator,
    "a repeated dataset": lambda: dataset_of(X).batch(4).repeat(),
    "a PyDataset": lambda: py_dataset(PARTS, num_batches=None),
    "cycle": lambda: itertools.cycle(PARTS),
    "the same again": lambda: itertools.repeat(X),
    "a dataset of a generator": lambda: unsized(endless_generator),
    "a dataset of unknown length, repeated": lambda: unsized(lambda: iter(PARTS)).repeat(),
}


@pytest.fixture
def patience(monkeypatch):
    """Iterators of unknown length are long after 3 batches, and endless after 9."""
    from equivcheck.trace import batches

    monkeypatch.setattr(batches, "LONG", 3)
    monkeypatch.setattr(batches, "UNSIZED", 9)


def unsized(generate):
    import tensorflow as tf

    return tf.data.Dataset.from_generator(generate, output_signature=tf.TensorSpec((None, 2), tf.float32))


#: Only reading tells that these have no end.
UNTOLD = {"a generator", "the same again", "a dataset of a generator"}


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("kind", ENDLESS)
def test_what_has_no_end_needs_a_number(kind, recwarn):
    warnings.simplefilter("always")
    with pytest.raises(InputError, match=r"^batches: .*max_batches="):
        values(ENDLESS[kind]())
    assert [str(warning.message).partition(";")[0] for warning in recwarn] == (
        ["batches: this iterator does not say how long it is"] if kind in UNTOLD else []
    )
    assert len(values(ENDLESS[kind](), most=70)) == 70


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("kind", ["generator", "dataset"])
def test_what_does_not_say_how_long_it_is_is_read_to_its_end(kind):
    for number in (1, 3, 4, 9):
        parts = [X[:2]] * number
        source = unsized(lambda parts=parts: iter(parts)) if kind == "dataset" else (part for part in parts)
        with pytest.warns(UserWarning, match="max_batches=") if number > 3 else nullcontext():
            assert values(source) == [part.tolist() for part in parts]


def broken():
    yield X
    raise ZeroDivisionError("no image there")


REFUSED = {
    "nothing": (
        lambda: None,
        "expected an array, a tf.data.Dataset, a PyDataset or an iterable of batches, found None",
    ),
    "text": (lambda: "abc", "found str"),
    "a number": (lambda: 3, "found int"),
    "an array without axes": (lambda: np.array(3.0), "single value"),
    "a list of numbers": (lambda: [1.0, 2.0], "single value"),
    "rows that are no arrays": (lambda: [[1.0, 2.0]], "single value"),
    "objects": (lambda: [object()], "holds object, which is no tensor"),
    "None": (lambda: [None], "holds NoneType, which is no tensor"),
    "rows of two lengths": (lambda: np.array([[1, 2], [3]], object), "which is no tensor"),
    "an empty list": (list, "not one sample"),
    "an empty iterator": (lambda: iter(()), "not one sample"),
    "an empty array": (lambda: X[:0], "not one sample"),
    "an empty dictionary": (dict, "not one sample"),
    "empty tuples": (lambda: [()], "not one sample"),
    "empty dictionaries": (lambda: [{}], "not one sample"),
    "an empty dataset": (lambda: dataset_of(X).batch(2).take(0), "not one sample"),
    "arrays of two lengths": (lambda: {"a": X, "b": X[:3]}, r"different numbers of samples: \[3, 10\]"),
    "a batch of two lengths": (lambda: [[X, X[:3]]], r"different numbers of samples: \[3, 10\]"),
    "a generator that raises": (broken, r"reading batch 2 raised ZeroDivisionError: no image there"),
    "a PyDataset without a length": (lambda: py_dataset(PARTS, num_batches=_unknown), "__len__"),
}


@property
def _unknown(_self):
    raise NotImplementedError


@pytest.mark.parametrize("kind", REFUSED)
def test_what_are_no_batches_is_said_in_one_line(kind):
    make, said = REFUSED[kind]
    with pytest.raises(InputError, match=said) as caught:
        values(make())
    assert str(caught.value).startswith("batches: ")
    assert len(str(caught.value).splitlines()) == 1
