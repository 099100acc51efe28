"""One real training step: what it moves is what is trained, whatever ``trainable`` says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

BASE = {"base/conv/kernel", "base/conv/bias", "base/bn/gamma", "base/bn/beta"}
STATISTICS = {"base/bn/moving_mean", "base/bn/moving_variance"}
HEAD = {"head/kernel", "head/bias"}


def build(*, flat=False):
    """``[input, base, head]``, or the same layers without a base between them."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    base = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x), name="base")
    head = keras.layers.Dense(3, activation="softmax", name="head")
    if flat:
        return keras.Model(base.input, head(base.output)), base
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, head(base(inputs))), base


def compiled(model):
    import keras

    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="sparse_categorical_crossentropy")
    return model


@pytest.fixture
def moved(evidence_of):
    """Paths of what one step moves, and of what the model lists as trainable."""

    def measure(arm):
        variables = evidence_of(arm).variables
        return (
            {variable.path for variable in variables if variable.change > 0},
            {variable.path for variable in variables if variable.trainable},
        )

    return measure


def test_a_frozen_nested_backbone_stays(moved):
    model, base = build()
    base.trainable = False
    assert moved(compiled(model)) == (HEAD, HEAD)


def test_a_frozen_flat_backbone_stays(moved):
    model, base = build(flat=True)
    base.trainable = False
    assert moved(compiled(model)) == (HEAD, HEAD)


def test_nothing_frozen_moves_weights_and_statistics(moved):
    model, _ = build()
    assert moved(compiled(model)) == (BASE | STATISTICS | HEAD, BASE | HEAD)


def test_a_slice_of_a_nested_model_freezes_only_its_input(moved):
    """``model.layers`` is ``[input, base, head]``, so ``[:-2]`` is the input."""
    model, _ = build()
    for layer in model.layers[:-2]:
        layer.trainable = False
    assert moved(compiled(model))[0] == BASE | STATISTICS | HEAD


def test_the_same_slice_of_a_flat_model_leaves_out_a_layer_without_weights(moved):
    model, _ = build(flat=True)
    for layer in model.layers[:-2]:
        layer.trainable = False
    assert moved(compiled(model)) == (HEAD, HEAD)


def test_batch_normalisation_re_enabled_inside_a_frozen_base(moved, evidence_of):
    """``base.trainable`` is still False while that layer trains, and on batch statistics."""
    model, base = build()
    base.trainable = False
    base.get_layer("bn").trainable = True
    assert base.trainable is False
    found, listed = moved(compiled(model))
    assert found == STATISTICS | HEAD | {"base/bn/gamma", "base/bn/beta"} & listed
    layer = next(layer for layer in evidence_of(model).layers if layer.path == "base/bn")
    assert layer.batch_gap > 0


def test_frozen_after_compile_and_before_the_first_fit(moved):
    """Keras 3 fixes what it trains when the train function is first traced."""
    model, base = build()
    compiled(model)
    base.trainable = False
    assert moved(model) == (HEAD, HEAD)


@pytest.mark.parametrize("frozen_at_first", [True, False])
def test_a_flip_after_the_first_fit_is_ignored_silently(moved, make_arm, images, frozen_at_first):
    """What the model lists and what the step moves are then two things; only the step tells the truth."""
    model, base = build()
    base.trainable = not frozen_at_first
    compiled(model)
    arm = make_arm(model)
    model.fit(arm.train.feed.x, arm.train.feed.y, batch_size=8, verbose=0)
    base.trainable = frozen_at_first
    found, listed = moved(arm)
    assert listed == (HEAD | BASE if frozen_at_first else HEAD)
    assert found == (HEAD if frozen_at_first else HEAD | BASE | STATISTICS)


def test_flags_of_a_model_that_was_fitted_before(evidence_of, make_arm):
    """Its train function was traced when nobody watched; the flag is reported all the same."""
    import keras

    model = compiled(
        keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dropout(0.5, name="drop"),
             keras.layers.Dense(3, activation="softmax")]
        )
    )  # fmt: skip
    arm = make_arm(model)
    fresh = {layer.path: layer.flag for layer in evidence_of(arm).layers}
    model.fit(arm.train.feed.x, arm.train.feed.y, verbose=0)
    assert {layer.path: layer.flag for layer in evidence_of(arm).layers} == fresh
    assert fresh["drop"].fit is True


def test_changes_are_as_large_as_they_are(make_arm):
    """One step of SGD by hand."""
    import keras

    from equivcheck.trace.observed import observe

    model, base = build()
    base.trainable = False
    arm = make_arm(compiled(model))
    step = observe(arm).step
    twin, base = build()
    base.trainable = False
    x, y = arm.train.feed.x[:8], arm.train.feed.y[:8]
    before = [np.array(variable) for variable in twin.trainable_variables]
    compiled(twin).train_on_batch(x, y)
    for variable, own, old in zip(model.trainable_variables, twin.trainable_variables, before, strict=True):
        assert step.change[id(variable)] == np.abs(np.array(own) - old).max() > 0
    del keras


def test_a_step_that_raises_is_a_failure_with_its_reason(make_arm, images):
    """Labels that a loss refuses are judged (EQ302), so they do not stop the run."""
    from equivcheck.trace.observed import observe

    model, _ = build()
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    step = observe(make_arm(model)).step
    assert "Error" in step.failure
    assert "\n" not in step.failure
    assert step.flags == {}


@pytest.mark.parametrize("frozen", [True, False])
def test_what_is_frozen_shows_although_the_loss_refuses_the_labels(make_arm, frozen):
    """Nothing of the loss that is put in its place stays, and no weight is moved.

    The images are grey levels, so the softmax is saturated and hands no gradient on.
    """
    from equivcheck.trace.step import take_step

    model, base = build()
    base.trainable = not frozen
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    weights = model.get_weights()
    change = take_step(make_arm(model)).change
    moved = {key for key, most in change.items() if most > 0}
    assert bool(moved & {id(variable) for variable in base.variables}) is not frozen
    assert moved >= {id(variable) for variable in model.get_layer("head").variables}
    assert [np.array_equal(*pair) for pair in zip(model.get_weights(), weights, strict=True)] == [True] * len(weights)
    assert not {"compute_loss", "compute_metrics"} & vars(model).keys()
    assert model.train_function is None


def test_the_reason_is_kept_although_keras_gives_it_after_a_heading(make_arm, images):
    """``Exception encountered when calling …`` is only the first line."""
    from equivcheck.trace.step import take_step

    model, _ = build()
    step = take_step(make_arm(compiled(model), images[:, :, :, :1]))
    assert "expected axis -1 of input shape to have value 3" in step.failure
    assert "Arguments received" not in step.failure
    assert "\n" not in step.failure
    assert "\x1b" not in step.failure


def test_fit_that_raises_in_an_arm_of_the_users_is_the_users(make_arm, images):
    from equivcheck.errors import UserCodeError
    from equivcheck.trace.observed import observe

    model, _ = build()
    arm = replace(make_arm(compiled(model), no_such_argument=1), made_by="theirs:arm")
    with pytest.raises(UserCodeError, match=r"^theirs:arm: fit of the frozen arm raised TypeError: .*no_such_argument"):
        observe(arm)


def test_fit_that_raises_for_another_reason_is_inconclusive(make_arm, images):
    from equivcheck.errors import InconclusiveError
    from equivcheck.trace.observed import observe

    model, _ = build()
    arm = make_arm(compiled(model), no_such_argument=1)
    with pytest.raises(InconclusiveError, match=r"the frozen arm cannot be trained: fit raised TypeError.*no_such"):
        observe(arm)


def test_parameters_are_counted_by_what_became_of_them(evidence_of):
    model, base = build()
    base.trainable = False
    count = evidence_of(compiled(model)).parameters
    assert count.trainable == count.moved == 4 * 3 + 3
    assert count.frozen == base.count_params()


def test_what_is_frozen_shows_behind_steps_that_are_skipped(moved, make_arm, images):
    """A loss scale too large for half precision: the first steps overflow, and move nothing but the scale."""
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, base = build()
        base.get_layer("bn").trainable = False
    finally:
        keras.config.set_dtype_policy("float32")
    rule = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=2.0**20)
    model.compile(optimizer=rule, loss="sparse_categorical_crossentropy")
    conv = {"base/conv/kernel", "base/conv/bias"}
    assert moved(make_arm(model, images / 255)) == (conv | HEAD, conv | HEAD)
    assert float(rule.dynamic_scale) == 2.0**20
    assert int(rule.iterations) == 0


TRACED = {
    "stock layers": ({}, (), False),
    "the user's": ({"made_by": "theirs:arm"}, (), True),
    "a phase that no other follows": ({"phase": "a"}, (), False),
    "a phase before one that is compiled anew": ({"phase": "a"}, (True,), False),
    "a phase before one that is not": ({"phase": "a"}, (False,), True),
}


@pytest.mark.parametrize(("facts", "recompiling", "traced"), TRACED.values(), ids=TRACED)
def test_a_step_is_traced_where_the_training_goes_on_with_it(make_arm, facts, recompiling, traced):
    """What it moves, which flags it passes on and what it leaves behind are the same."""
    from equivcheck.arms.arm import Later
    from equivcheck.trace.step import take_step

    facts = {**facts, "later": tuple(Later("b", each, None) for each in recompiling)}
    found = []
    for each in ({}, facts):
        model, base = build()
        base.trainable = False
        step = take_step(replace(make_arm(compiled(model)), **each))
        assert step.seconds > 0
        assert (model.train_function is not None) is (traced and each is facts)
        assert model.run_eagerly is False
        paths = {id(variable): variable.path for variable in model.variables}
        found.append(({paths[key] for key, most in step.change.items() if most > 0}, step.flags))
    assert found[0] == found[1]
