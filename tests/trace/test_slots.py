"""Which slot belongs to which variable: by the names that Keras gives, for every optimizer that a spec may name."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

#: Optimizer -> what it keeps for each variable.
KEPT = {
    "sgd": set(),
    "rmsprop": {"velocity"},
    "adam": {"momentum", "velocity"},
    "adamw": {"momentum", "velocity"},
    "nadam": {"momentum", "velocity"},
    "adamax": {"momentum", "norm"},
    "adagrad": {"accumulator"},
    "adadelta": {"accumulated_grad", "accumulated_delta_var"},
    "ftrl": {"accumulator", "linear"},
    "lion": {"momentum"},
}


@pytest.fixture
def model():
    import keras

    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="one"), keras.layers.Dense(3, name="one_b")])


@pytest.mark.parametrize("name", KEPT)
def test_every_slot_finds_its_variable(model, name):
    import keras

    from equivcheck.trace.slots import slots_of

    optimizer = keras.optimizers.get(name)
    optimizer.build(model.trainable_variables)
    slots = slots_of(optimizer, model.trainable_variables)
    assert {kind for _, kind in slots} == KEPT[name]
    assert {number for number, _ in slots} == (set(range(4)) if KEPT[name] else set())
    for (number, _), value in slots.items():
        assert value.shape == tuple(model.trainable_variables[number].shape)


def test_variables_of_equal_paths_keep_their_order(tensorflow):
    import keras

    from equivcheck.trace.slots import slots_of

    variables = [keras.Variable(np.zeros(size), name="same") for size in (2, 3)]
    optimizer = keras.optimizers.SGD(momentum=0.9)
    optimizer.build(variables)
    slots = slots_of(optimizer, variables)
    assert [slots[number, "momentum"].shape for number in (0, 1)] == [(2,), (3,)]


def test_slots_of_other_variables_are_left_out(model):
    import keras

    from equivcheck.trace.slots import slots_of

    optimizer = keras.optimizers.Adam(use_ema=True)
    optimizer.build(model.trainable_variables)
    slots = slots_of(optimizer, model.trainable_variables[2:])
    assert set(slots) == {(number, kind) for number in (0, 1) for kind in ("momentum", "velocity", "average")}


def test_the_slots_of_a_wrapped_optimizer(model):
    import keras

    from equivcheck.trace.slots import slots_of

    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    optimizer.build(model.trainable_variables)
    assert len(slots_of(optimizer, model.trainable_variables)) == 8
