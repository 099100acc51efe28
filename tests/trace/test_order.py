"""Which samples a real iterator yields, in which order: compared with what a training by ``fit`` is really handed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: 22 samples that can be told apart: batches of 4 leave a tail of 2.
X = np.arange(22, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
Y = np.arange(22)[:, None] % 3


@pytest.fixture(scope="module")
def seen_by_training(tensorflow):
    """The first column of every batch, as ``train_step`` of a real, compiled training gets it, epoch by epoch."""
    import keras

    def train(x, y, fit, *, seed=0):
        noted, passes = [], []

        class Noting(keras.Sequential):
            def train_step(self, data):
                rows, _, _ = keras.utils.unpack_x_y_sample_weight(data)
                tensorflow.py_function(lambda batch: noted.append(batch.numpy()[:, 0].astype(int)), [rows], [])
                return super().train_step(data)

        model = Noting([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.Dense(3, activation="softmax")])
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", jit_compile=False)

        def turn(*_):
            passes.append([list(batch) for batch in noted])
            noted.clear()

        keras.utils.set_random_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            turning = keras.callbacks.LambdaCallback(on_epoch_end=turn)
            model.fit(x, y, epochs=2, verbose=0, callbacks=[turning], **fit)
        return passes

    return train


@pytest.fixture(scope="module")
def walked(tensorflow):
    """What measuring writes down of a split."""
    import keras

    from equivcheck.arms.arm import Arm, Feed, Split
    from equivcheck.trace.walk import walk

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")

    def record(x, y, fit, *, seed=0, validation=False):
        split = Split(Feed(x, y))
        train, evaluated = walk(Arm("frozen", model, split, split if validation else None, fit, seed))
        return evaluated if validation else train

    return record


@pytest.fixture(scope="module")
def recorded(walked):
    """The first column of every batch, epoch by epoch, by way of the sample numbers."""

    def columns(x, y, fit, **options):
        found = walked(x, y, fit, **options)
        return [
            [
                [int(value) for value in found.x[batch, 0]]
                for batch in np.split(samples, np.cumsum(found.order.batches[number])[:-1])
            ]
            for number, samples in enumerate(found.order.samples)
        ]

    return columns


@pytest.mark.parametrize("fit", [{}, {"shuffle": False}, {"shuffle": True}], ids=str)
@pytest.mark.parametrize("batch_size", [4, 11])
def test_arrays(seen_by_training, recorded, fit, batch_size):
    fit = {"batch_size": batch_size, **fit}
    found = recorded(X, Y, fit)
    assert found == seen_by_training(X, Y, fit)
    assert [len(batch) for batch in found[0]] == ([4] * 5 + [2] if batch_size == 4 else [11, 11])
    assert sorted(sum(found[0], [])) == list(range(22))  # noqa: RUF017  (a handful of batches)
    assert (found[0][0][:3] == [0, 1, 2]) == (fit.get("shuffle", True) is False)


def test_another_seed_is_another_order(seen_by_training, recorded):
    fit = {"batch_size": 4}
    assert recorded(X, Y, fit, seed=1) == seen_by_training(X, Y, fit, seed=1) != recorded(X, Y, fit)


def test_a_seed_repeats_one_permutation_in_every_epoch_on_tensorflow(recorded):
    """A fact of Keras that the report's wording rests on (causes: TF#35682)."""
    first, second = recorded(X, Y, {"batch_size": 4})
    assert first == second


@pytest.mark.parametrize("steps", [3, 6])
def test_steps_per_epoch_cut_the_arrays(seen_by_training, recorded, steps):
    """The next epoch starts over, and shows the same samples again."""
    fit = {"batch_size": 4, "steps_per_epoch": steps, "shuffle": False}
    found = recorded(X, Y, fit)
    assert found == seen_by_training(X, Y, fit)
    assert [len(batches) for batches in found] == [steps, steps]


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("shuffled", [False, True])
def test_datasets(seen_by_training, recorded, tensorflow, drop, shuffled):
    """The shuffle of fit is ignored there; a seeded shuffle of the dataset differs from pass to pass."""

    def dataset():
        made = tensorflow.data.Dataset.from_tensor_slices((X, Y))
        return (made.shuffle(22, seed=7) if shuffled else made).batch(4, drop_remainder=drop)

    found = recorded(dataset(), None, {"shuffle": True})
    assert found == seen_by_training(dataset(), None, {"shuffle": True})
    assert [len(batch) for batch in found[0]] == [4] * 5 + ([] if drop else [2])
    assert (found[0] != found[1]) == shuffled


def test_a_repeating_dataset_goes_on_where_the_last_epoch_ended(seen_by_training, recorded, tensorflow):
    def dataset():
        return tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(4).repeat()

    fit = {"steps_per_epoch": 5}
    found = recorded(dataset(), None, fit)
    assert found == seen_by_training(dataset(), None, fit)
    assert found[1][0] == [20, 21]


@pytest.fixture(scope="module")
def sequence(tensorflow):
    import keras

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 6

        def __getitem__(self, batch):
            rows = slice(batch * 4, batch * 4 + 4)
            return X[rows], Y[rows]

    return Batches


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_pydataset_is_shuffled_by_whole_batches(seen_by_training, recorded, sequence, shuffle):
    found = recorded(sequence(), None, {"shuffle": shuffle})
    assert found == seen_by_training(sequence(), None, {"shuffle": shuffle})
    assert sorted(map(sorted, found[0])) == [list(range(start, min(start + 4, 22))) for start in range(0, 22, 4)]
    assert (found[0] != sorted(found[0])) == shuffle


def test_validation_is_never_shuffled(recorded):
    fit = {"batch_size": 4, "shuffle": True, "steps_per_epoch": 2, "epochs": 9}
    assert recorded(X, Y, fit, validation=True) == recorded(X, Y, {"batch_size": 4, "shuffle": False})


def test_validation_has_its_own_batch_size_and_steps(recorded):
    fit = {"batch_size": 4, "validation_batch_size": 10, "validation_steps": 2}
    first, second = recorded(X, Y, fit, validation=True)
    assert [len(batch) for batch in first] == [10, 10]
    assert first == second


@pytest.mark.parametrize("labels", [Y, np.eye(3, dtype=np.float32)[Y[:, 0]]], ids=["sparse", "one_hot"])
def test_labels_come_with_their_samples(walked, labels):
    order = walked(X, labels, {"batch_size": 4}, seed=3).order
    assert order.available == 22
    for samples, classes in zip(order.samples, order.labels, strict=True):
        np.testing.assert_array_equal(classes, samples % 3)


def test_the_label_of_a_sample_is_found_again_whenever_it_came(walked):
    found = walked(X, Y, {"batch_size": 4})
    np.testing.assert_array_equal(found.labels_of(np.array([5, 0, 21])), Y[[5, 0, 21]])
    cut = walked(X, Y, {"batch_size": 4, "steps_per_epoch": 2, "shuffle": False})
    assert cut.labels_of(np.array([0, 21])) is None


def test_equal_rows_take_their_numbers_in_turn_in_every_pass(walked):
    """A duplicated image is two samples, and not one that is shown twice."""
    order = walked(np.ones((4, 3), np.float32), Y[:4], {"batch_size": 4}).order
    assert [list(samples) for samples in order.samples] == [[0, 1, 2, 3]] * 2


def test_a_sample_shown_twice_is_a_repeat(walked, tensorflow):
    """Data that does not lie in memory is numbered as it first appears."""
    twice = tensorflow.data.Dataset.from_tensor_slices((X[[7, 3, 7]], Y[[7, 3, 7]])).batch(2)
    found = walked(twice, None, {})
    assert [list(samples) for samples in found.order.samples] == [[0, 1, 0]] * 2
    np.testing.assert_array_equal(found.x, X[[7, 3]])
    assert found.order.available is None


def test_rows_that_come_only_later_are_known_too(walked, tensorflow):
    def dataset():
        return tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(4).repeat()

    found = walked(dataset(), None, {"steps_per_epoch": 3})
    assert [list(samples) for samples in found.order.samples] == [list(range(12)), list(range(12, 22))]
    np.testing.assert_array_equal(found.x, X)


@pytest.mark.parametrize("kind", [np.float64, np.int64, np.uint8])
def test_rows_that_keras_casts_are_still_recognised(walked, kind):
    """Keras hands float64 on as float32, where a seventh is another number."""
    order = walked(
        (X.astype(kind) / 7 if kind is np.float64 else X.astype(kind)), Y, {"batch_size": 4, "shuffle": False}
    ).order
    assert [list(samples) for samples in order.samples] == [list(range(22))] * 2


def test_a_fingerprint_is_of_the_values(tensorflow):
    """Not of where they lie in memory."""
    from equivcheck.trace.order import fingerprints

    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert fingerprints(rows) == fingerprints(np.asfortranarray(rows))
    assert len(set(fingerprints(rows))) == 3
    assert fingerprints(rows)[0] != fingerprints(rows[:, ::-1])[0]
