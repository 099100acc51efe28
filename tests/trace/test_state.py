"""Measuring does not disturb: every variable is put back, and a measured arm trains as an unmeasured one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

HEAD = [{"dropout": {"rate": 0.4}}, {"batch_normalization": {}}, {"dense": {"units": 3, "activation": "softmax"}}]
PATCHES = {
    "dropout everywhere, adam": {"backbone.cut": "dropout", "head": HEAD, "training.optimizer": {"name": "adam"}},
    "nothing frozen, old batch normalisation, momentum": {
        "frozen.keras_semantics": "1.2",
        "frozen.backbone": {"freeze": False},
        "training.optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    },
}


@pytest.fixture
def quiet():
    """As the laboratory does: Keras warns of what is being measured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(params=PATCHES)
def builder(request, tiny, tmp_path):
    from equivcheck.arms.build import Builder

    return Builder(resolve(tiny.patched(PATCHES[request.param])), tmp_path)


def everything(arm):
    """Every number of an arm that a training step could change, by path."""
    variables = {}
    for number, model in enumerate(arm.network):
        found = [*model.variables, *(model.optimizer.variables if model.compiled else ())]
        variables |= {f"{number}/{index}/{variable.path}": np.array(variable) for index, variable in enumerate(found)}
    return variables


def assert_same(before, after):
    assert [path for path in before if path not in after] == []
    changed = [path for path, value in before.items() if not np.array_equal(value, after[path])]
    assert changed == []


def trained(arm):
    from equivcheck.replay.training import train

    return train(arm, lambda *_: None)


def test_a_measured_arm_trains_as_an_unmeasured_one(builder, quiet):
    """Curves and weights, bit for bit; also every variable between measuring and training."""
    from equivcheck.trace.observed import observe
    from equivcheck.trace.pair import trace_pair

    alone = [trained(builder.build(name)) for name in ("bottleneck", "frozen")]
    arms = [builder.build(name) for name in ("bottleneck", "frozen")]
    before = [everything(arm) for arm in arms]
    trace_pair(*map(observe, arms))
    for arm, values in zip(arms, before, strict=True):
        assert_same(values, everything(arm))
    for arm, expected in zip(arms, alone, strict=True):
        found = trained(arm)
        assert found.curves == expected.curves
        assert len(found.weights) == len(expected.weights)
        for mine, theirs in zip(found.weights, expected.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_this_test_can_fail(tiny, quiet):
    """A step that is not taken back does show in the next training."""
    from equivcheck.arms.build import Builder

    builder = Builder(resolve(tiny))
    alone = trained(builder.build("bottleneck"))
    arm = builder.build("bottleneck")
    trained(arm)
    assert trained(arm).curves != alone.curves


@pytest.fixture
def model():
    """Weights, statistics, seed states, optimizer slots: all that can move."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.RandomFlip(),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_every_variable_is_put_back(model, make_arm):
    """Slots that did not exist before are zero, as a new optimizer's are."""
    from equivcheck.trace.state import undisturbed, variables_of

    arm = make_arm(model)
    before = everything(arm)
    with undisturbed(model):
        trained(arm)
        inside = everything(arm)
    after = everything(arm)
    assert_same(before, after)
    moved = {path.rpartition("/")[2] for path in before if not np.array_equal(before[path], inside[path])}
    assert {"kernel", "gamma", "moving_mean", "seed_generator_state", "iteration"} <= moved
    slots = [path for path in after if path not in before]
    assert slots
    assert all(not after[path].any() for path in slots)
    assert len(variables_of(model)) == len({id(variable) for variable in variables_of(model)})


def test_an_optimizer_in_the_middle_of_its_training_is_put_back(model, make_arm):
    """An arm from the user's code may have been trained before; its momentum is part of it."""
    from equivcheck.trace.observed import observe

    arm = make_arm(model)
    trained(arm)
    before = everything(arm)
    observe(arm)
    assert_same(before, everything(arm))


@pytest.mark.parametrize("stage", ["the step", "a layer", "the loss"])
def test_a_probe_that_raises_leaves_everything_as_it_was(model, make_arm, monkeypatch, quiet, stage):
    """Ctrl-C in the middle of a step included."""
    import keras

    from equivcheck.trace.observed import observe

    arm = make_arm(model)
    before = everything(arm)

    def stop(*_args, **_kwargs):
        raise KeyboardInterrupt

    if stage == "the step":
        apply = keras.optimizers.Adam.apply

        def apply_then_stop(*args, **kwargs):
            apply(*args, **kwargs)
            stop()

        monkeypatch.setattr(keras.optimizers.Adam, "apply", apply_then_stop)
        model.run_eagerly = True
    elif stage == "a layer":
        monkeypatch.setattr(keras.layers.Flatten, "call", stop)
    else:
        monkeypatch.setattr(model, "compute_loss", stop)
    with pytest.raises(KeyboardInterrupt):
        observe(arm)
    monkeypatch.undo()
    assert_same(before, everything(arm))
    assert not [layer.name for layer in model.layers if "call" in vars(layer)]


def test_the_users_callbacks_are_not_run(model, make_arm):
    """A checkpoint that measuring wrote over would be a loss."""
    import keras

    from equivcheck.trace.observed import observe

    called = []
    callback = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: called.append(1))
    observe(make_arm(model, callbacks=[callback], epochs=7))
    assert called == []
