"""An arm that the user's own function returns."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from equivcheck.errors import InputError, UserCodeError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

X, Y = np.zeros((6, 4), np.float32), np.zeros((6, 1))


@pytest.fixture(scope="module")
def models(tensorflow):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return SimpleNamespace(compiled=model, plain=keras.Sequential([keras.Input((4,)), keras.layers.Dense(4)]))


@pytest.fixture
def arm(models, monkeypatch):
    """The arm of a function that returns an object with these attributes; ``...`` leaves one out."""
    from equivcheck.arms.from_code import arm_from_code

    def of(name="frozen", value=None, **changes):
        attributes = {"model": models.compiled, "train": (X, Y), "validation": (X[:2], Y[:2]), "fit": {"epochs": 3}}
        attributes = {key: given for key, given in (attributes | changes).items() if given is not ...}
        module = ModuleType("made_up_arm")
        module.make = lambda: SimpleNamespace(**attributes) if value is None else value()
        monkeypatch.setitem(sys.modules, "made_up_arm", module)
        return arm_from_code("made_up_arm:make", name, folder=Path())

    return of


def test_an_arm_of_arrays(arm, models):
    made = arm()
    assert made.name == "frozen"
    assert made.model is models.compiled
    assert dict(made.fit) == {"epochs": 3}
    np.testing.assert_array_equal(made.train.feed.x, X)
    assert made.train.feed.arrays
    assert made.train.samples is None
    assert made.extractor is None
    assert len(made.validation.feed.as_tuple()) == 2


def test_the_images_of_a_frozen_arm_are_what_it_is_fed(arm):
    np.testing.assert_array_equal(arm().train.images, X)


def test_a_bottleneck_arm_may_show_its_backbone_and_images(arm, models):
    images = np.ones((6, 2, 2, 3))
    made = arm("bottleneck", backbone=models.plain, images=images, validation_images=images[:2])
    assert made.extractor is models.plain
    np.testing.assert_array_equal(made.train.images, images)
    assert made.validation.images.shape == (2, 2, 2, 3)


def test_or_not(arm):
    made = arm("bottleneck")
    assert (made.extractor, made.train.images, made.validation.images) == (None, None, None)


def test_the_backbone_of_a_frozen_arm_is_inside_its_model(arm, models):
    assert arm(backbone=models.plain).extractor is None


def test_sample_weights(arm):
    weights = np.arange(6)
    made = arm(train=(X, Y, weights))
    np.testing.assert_array_equal(made.train.feed.sample_weight, weights)
    assert len(made.train.feed.as_tuple()) == 3


def test_lists_are_arrays_as_well(arm):
    assert arm(train=(X.tolist(), Y.tolist())).train.feed.x.shape == (6, 4)


def test_a_dataset_is_passed_on_as_it_is(arm, tensorflow):
    data = tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(2)
    made = arm(train=data)
    assert made.train.feed.as_tuple() is data
    assert not made.train.feed.arrays
    assert made.train.images is None


def test_what_may_be_left_out(arm):
    made = arm(validation=..., fit=...)
    assert made.validation is None
    assert dict(made.fit) == {"epochs": 1}


def test_a_fit_of_ones_own_may_take_more(arm):
    import keras

    class Theirs(keras.Sequential):
        def fit(self, *args, **kwargs):
            return super().fit(*args, **kwargs)

    model = Theirs([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    assert dict(arm(model=model, fit={"mixup": 0.5}).fit) == {"epochs": 1, "mixup": 0.5}


def test_numpys_whole_numbers_are_whole_numbers(arm):
    assert arm(fit={"epochs": np.int64(3), "batch_size": None}).fit["epochs"] == 3


def test_the_function_starts_from_one_seed_each_time(arm):
    def draw():
        import keras

        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return SimpleNamespace(model=model, train=(X, np.random.rand(6)), validation=None, fit={})  # noqa: NPY002

    one, other = arm(value=draw), arm(value=draw)
    np.testing.assert_array_equal(one.model.get_weights()[0], other.model.get_weights()[0])
    np.testing.assert_array_equal(one.train.feed.y, other.train.feed.y)


def test_what_image_data_generators_give_is_a_data_set(arm):
    """It can be iterated by hand, and without end; fit takes it as the PyDataset that it is, which begins anew."""
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    flow = ImageDataGenerator().flow(np.zeros((6, 4, 4, 3), np.float32), Y, batch_size=4)
    next(flow)
    made = arm(train=flow, validation=flow)
    assert made.train.feed.x is flow
    assert not made.train.feed.arrays


RAGGED = [[1.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ...}, " returned SimpleNamespace whose model is NoneType; expected an object with a compiled "),
        ({"model": "x"}, " returned SimpleNamespace whose model is str; expected an object with a compiled "),
        ({"value": lambda: 7}, " returned int whose model is NoneType; expected an object with a compiled "),
        ({"fit": None}, ": .fit is NoneType; expected a mapping of arguments of fit"),
        ({"fit": [("epochs", 1)]}, ": .fit is list; expected a mapping of arguments of fit"),
        (
            {"fit": {"y": 1, "verbose": 1, "x": 0}},
            ": .fit holds verbose, x, y; data belong into .train and .validation",
        ),
        ({"fit": {"validation_data": 1}}, ": .fit holds validation_data; data belong into .train and .validation"),
        ({"train": ...}, ": .train is missing; expected what fit is given as data"),
        ({"train": None}, ": .train is missing; expected what fit is given as data"),
        ({"fit": {"epoch": 3, "bogus": 1}}, ": .fit holds bogus, epoch, which Sequential.fit does not take"),
        ({"fit": {"epochs": "3"}}, ": epochs of .fit is '3'; expected a whole number above 0"),
        ({"fit": {"epochs": 0}}, ": epochs of .fit is 0; expected a whole number above 0"),
        ({"fit": {"batch_size": 2.0}}, ": batch_size of .fit is 2.0; expected a whole number above 0"),
        ({"train": iter([(X, Y)])}, ": data is a list_iterator, which yields its batches only once; expected arrays, "),
        ({"train": ((X, Y) for _ in range(3))}, ": data is a generator, which yields its batches only once; "),
        ({"validation": ((X, Y) for _ in range(3))}, ": data is a generator, which yields its batches only once; "),
        ({"train": (X[:0], Y[:0])}, ": x is empty"),
        ({"validation": (X[:0], Y[:0])}, ": x is empty"),
        ({"train": (X * np.nan, Y)}, ": x holds NaN or infinite values"),
        ({"train": (X, Y + np.inf)}, ": y holds NaN or infinite values"),
        ({"backbone": "VGG16"}, ": .backbone is str; expected a keras.Model"),
        ({"train": (X,)}, ": data is a tuple of 1; expected (x, y) or (x, y, sample_weight)"),
        ({"train": (X, Y, Y, Y)}, ": data is a tuple of 4; expected (x, y) or (x, y, sample_weight)"),
        ({"validation": (X,)}, ": data is a tuple of 1; expected (x, y) or (x, y, sample_weight)"),
        ({"train": (X, Y[:5])}, ": 6 samples but 5 labels"),
        ({"train": (None, Y)}, ": x is NoneType; expected an array of numbers"),
        ({"train": (X, 3)}, ": y is int; expected an array of numbers"),
        ({"train": ({"a": X}, Y)}, ": x is dict; expected an array of numbers"),
        ({"train": (RAGGED, Y[:2])}, ": x is not an array: "),
        ({"train": (np.array(["a", None]), Y[:2])}, ": x is ndarray; expected an array of numbers"),
        ({"name": "bottleneck", "images": X[:5]}, ": 6 samples but 5 images"),
        ({"name": "bottleneck", "validation_images": X[:5]}, ": 2 samples but 5 images"),
    ],
)
def test_what_does_not_follow_the_protocol_is_said_with_the_functions_name(arm, changes, message):
    with pytest.raises(InputError) as raised:
        arm(**changes)
    assert str(raised.value).startswith(f"made_up_arm:make{message}")


def test_a_model_that_is_not_compiled(arm, models):
    with pytest.raises(InputError, match=r"^made_up_arm:make: \.model is not compiled$"):
        arm(model=models.plain)


def test_a_function_that_raises(arm):
    with pytest.raises(UserCodeError, match=r"^made_up_arm:make raised ZeroDivisionError: "):
        arm(value=lambda: 1 / 0)
