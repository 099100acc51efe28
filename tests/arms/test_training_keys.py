"""Class weights and early stopping of a spec, and what older Keras made of accuracy and loss."""

from __future__ import annotations

import pytest

from equivcheck.errors import SpecError
from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture
def built(tiny):
    from equivcheck.arms.build import Builder

    return lambda arm, patch: Builder(resolve(tiny.patched(patch))).build(arm)


def test_class_weights_go_by_name(built):
    arm = built("bottleneck", {"training.class_weight": {"2": 3.0, "0": 0.5}})
    assert arm.fit["class_weight"] == {2: 3.0, 0: 0.5}


def test_a_weight_of_no_class_is_refused_at_its_line(built):
    with pytest.raises(SpecError) as caught:
        built("frozen", {"training.class_weight": {"cat": 3.0}})
    (problem,) = caught.value.problems
    assert problem.key == "training.class_weight"
    assert problem.message == "'cat' is not one of the classes 0, 1, 2"


@pytest.mark.parametrize(
    "patch",
    [
        {"training.class_weight": {"0": -1.0}},
        {"training.class_weight": {"0": "much"}},
        {"training.early_stopping": {"patience": -1}},
        {"training.early_stopping": {"mode": "lowest"}},
        {"training.early_stopping": {"waiting": 3}},
    ],
)
def test_bad_values_are_refused(tiny, patch):
    with pytest.raises(SpecError):
        resolve(tiny.patched(patch))


def test_early_stopping_is_the_callback_of_that_name(built):
    import keras

    arm = built("frozen", {"training.early_stopping": {"monitor": "loss", "patience": 3}})
    (stopping,) = arm.fit["callbacks"]
    assert isinstance(stopping, keras.callbacks.EarlyStopping)
    assert (stopping.monitor, stopping.patience) == ("loss", 3)


@pytest.mark.parametrize(("version", "share"), [("2.1", 0.8), ("2.3.1", 0.8), ("2.4", 0.0), ("3", 0.0)])
def test_accuracy_beside_binary_crossentropy(version, share):
    """One wrong, undecided prediction of five classes; keras issue 10213."""
    import keras
    import numpy as np

    from equivcheck.arms.legacy import accuracy_of

    model = keras.Sequential([keras.Input((5,)), keras.layers.Activation("linear")])
    model.compile("sgd", "binary_crossentropy", metrics=[accuracy_of(version, "binary_crossentropy")])
    given = np.array([[0.3, 0.4, 0.1, 0.1, 0.1]])
    assert model.evaluate(given, np.eye(5)[[0]], verbose=0)[1] == pytest.approx(share)
    assert accuracy_of(version, "categorical_crossentropy") == "accuracy"


@pytest.mark.parametrize("version", ["2.15", None])
def test_the_penalty_of_a_frozen_layer(version):
    """tf_keras is the reference of the older behaviour: it counts the penalty whatever ``trainable`` says."""
    import keras
    import numpy as np
    import tf_keras

    from equivcheck.arms.legacy import model_class

    def made(library, model):
        inputs = library.Input((3,))
        layer = library.layers.Dense(2, kernel_initializer="ones", kernel_regularizer=library.regularizers.L2(0.5))
        layer.trainable = False
        return model(inputs, layer(inputs))

    ours = made(keras, model_class(version))
    expected = float(np.sum([np.array(loss) for loss in made(tf_keras, tf_keras.Model).losses]))
    assert expected == pytest.approx(3.0)
    assert sum(float(loss) for loss in ours.losses) == pytest.approx(expected if version else 0.0)
