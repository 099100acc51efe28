"""Training steps of two heads: what makes gradients and updates differ is seen, and nothing else is."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from equivcheck.diff.tally import NOISE
from equivcheck.spec import resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

SOFTMAX = {"dense": {"units": 3, "activation": "softmax"}}
DEEP = [{"dropout": {"rate": 0.5}}, {"dense": {"units": 16, "use_bias": True}}, {"batch_normalization": {}}, SOFTMAX]

#: Every way of making an update that Keras has: class and arguments.
OPTIMIZERS = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "momentum": ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"learning_rate": 0.01}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.9}),
    "adamw": ("AdamW", {"weight_decay": 0.1}),
    "adagrad": ("Adagrad", {}),
    "adafactor": ("Adafactor", {}),
    "lion": ("Lion", {}),
    "clipnorm": ("Adam", {"clipnorm": 0.01}),
    "global_clipnorm": ("Adam", {"global_clipnorm": 0.01}),
    "ema": ("Adam", {"use_ema": True, "ema_overwrite_frequency": 2}),
    "accumulation": ("Adam", {"gradient_accumulation_steps": 2}),
    "loss scale factor": ("SGD", {"learning_rate": 0.1, "loss_scale_factor": 128.0}),
}


def optimizer(name, **more):
    import keras

    kind, arguments = OPTIMIZERS[name]
    return getattr(keras.optimizers, kind)(**{**arguments, **more})


def everything(*arms):
    """Every number that a step could change."""
    models = [model for arm in arms for model in arm.network]
    variables = [*models, *(model.optimizer for model in models if model.compiled)]
    metrics = [metric for model in models if model.compiled for metric in model.metrics_variables]
    return [np.array(each) for owner in variables for each in owner.variables] + [np.array(each) for each in metrics]


@pytest.fixture(scope="module")
def arms(tiny):
    """Both arms of the tiny spec, observed; ``change`` may touch the two live arms first."""
    from equivcheck.arms.build import Builder
    from equivcheck.trace.observed import observe

    def build(patch=None, change=lambda _bottleneck, _frozen: None):
        builder = Builder(resolve(tiny.patched(patch or {})))
        made = [builder.build(name) for name in ("bottleneck", "frozen")]
        made = change(*made) or made
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [observe(arm) for arm in made]

    return build


@pytest.fixture(scope="module")
def update(arms):
    """What is measured on them; that nothing was left changed is seen to each time."""
    from equivcheck.trace.pair import trace_pair

    def measure(patch=None, change=lambda _bottleneck, _frozen: None):
        observed = arms(patch, change)
        before = everything(*(each.arm for each in observed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = trace_pair(*observed).update
        after = everything(*(each.arm for each in observed))
        assert len(before) == len(after)
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        assert not any("apply" in vars(each.arm.model.optimizer) for each in observed)
        return found

    return measure


def compiled(ours, theirs=None, loss="sparse_categorical_crossentropy"):
    """A change that gives both arms other optimizers, each made afresh."""

    def change(bottleneck, frozen):
        bottleneck.model.compile(optimizer=ours(), loss=loss)
        frozen.model.compile(optimizer=(theirs or ours)(), loss=loss)

    return change


def largest(gaps):
    return max((gap.max_rel for gap in gaps), default=0.0)


def assert_equal(found, steps=3):
    """To the last bit."""
    assert (found.output_gap, found.loss_gap, found.relabelled) == (0, 0, 0)
    assert (largest(found.gradients), largest(found.updates), largest(found.slots)) == (0, 0, 0)
    assert found.gradients
    assert len(found.gradients) == len(found.updates)
    assert (found.equal_steps, found.steps, found.samples) == (steps, steps, 8)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equal_optimizers_move_equal_heads_alike(update, name):
    """Whatever they keep, clip, decay or average, and with dropout and a normalisation in the head."""
    assert_equal(update({"head": DEEP}, compiled(lambda: optimizer(name))))


@pytest.mark.parametrize(
    "patch",
    [
        {"backbone.cut": "dropout"},
        {"backbone.cut": "dropout", "frozen.backbone": {"call": "flat"}},
        {"backbone.cut": "dropout", "frozen.backbone": {"call": "inference"}},
        {"frozen.preprocessing": {"rescale": 0.02}},
        {"frozen.keras_semantics": "1.2"},
        {"frozen.training.shuffle": False, "frozen.training.batch_size": 4},
    ],
    ids=["dropout", "flat", "inference", "preprocessing", "batch statistics", "order"],
)
def test_what_lies_before_the_head_makes_no_difference(update, patch):
    """These are causes, and others name them; here both heads get the features that the frozen arm's received."""
    assert_equal(update({**patch, "training.optimizer": {"name": "adam"}}))


def test_labels_spelt_differently_are_equal_but_for_rounding(update):
    """Adam would make whole updates of that rounding, had it not the same gradients."""
    spelt = {"frozen.labels": "one_hot", "frozen.training": {"loss": "categorical_crossentropy"}}
    found = update({"head": DEEP, "training.optimizer": {"name": "adam"}, **spelt})
    assert found.loss_gap < NOISE
    assert largest(found.gradients) < NOISE / 10
    assert (found.equal_steps, largest(found.updates), largest(found.slots)) == (3, 0, 0)


def test_only_the_head_is_compared_where_the_backbone_trains(update):
    found = update({"frozen.backbone": {"freeze": False}})
    assert [gap.path_frozen for gap in found.gradients] == ["head_dense/kernel", "head_dense/bias"]
    assert [gap.path_bottleneck for gap in found.gradients] == ["head/head_dense/kernel", "head/head_dense/bias"]
    assert_equal(found)


def test_another_learning_rate_shows_in_the_first_step(update):
    found = update(None, compiled(lambda: optimizer("sgd"), lambda: optimizer("sgd", learning_rate=0.05)))
    assert found.equal_steps == 0
    assert largest(found.gradients) == 0
    for gap in found.updates:
        assert gap.norm_ratio == pytest.approx(0.5, rel=1e-5)
        assert gap.cosine == pytest.approx(1)


def test_momentum_shows_in_the_second(update):
    found = update(None, compiled(lambda: optimizer("sgd"), lambda: optimizer("sgd", momentum=0.9)))
    assert found.equal_steps == 1
    assert largest(found.updates) > 0.5
    assert {(gap.path_frozen, gap.max_rel, gap.norm_ratio) for gap in found.slots} == {
        ("head_dense/kernel/momentum", math.inf, math.inf),
        ("head_dense/bias/momentum", math.inf, math.inf),
    }


def test_a_schedule_shows_when_it_first_differs(update):
    import keras

    def falling():
        return keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.1, 0.01]))

    assert update(None, compiled(lambda: optimizer("sgd"), falling)).equal_steps == 2


def test_what_shows_only_later_is_seen_in_what_is_kept(update):
    found = update(None, compiled(lambda: optimizer("adam"), lambda: optimizer("adam", use_ema=True)))
    assert (found.equal_steps, largest(found.updates)) == (3, 0)
    assert {gap.path_frozen for gap in found.slots if gap.max_rel} == {
        "head_dense/kernel/average",
        "head_dense/bias/average",
    }


@pytest.mark.parametrize(
    "theirs", [{"clipnorm": 1e-3}, {"global_clipnorm": 1e-3}, {"gradient_accumulation_steps": 2}, {"weight_decay": 0.1}]
)
def test_arguments_of_one_arm_only_are_seen(update, theirs):
    found = update(None, compiled(lambda: optimizer("sgd"), lambda: optimizer("sgd", **theirs)))
    assert found.equal_steps == 0
    assert largest(found.gradients) == 0


def test_a_loss_scale_is_no_other_gradient(update):
    """Half precision scales losses; the optimizer takes the scale out again."""
    import keras

    scaled = compiled(lambda: optimizer("adam"), lambda: keras.optimizers.LossScaleOptimizer(optimizer("adam")))
    assert_equal(update(None, scaled))


def test_another_reduction_is_another_gradient(update):
    import keras

    def change(bottleneck, frozen):
        for arm, reduction in ((bottleneck, "sum_over_batch_size"), (frozen, "sum")):
            loss = keras.losses.SparseCategoricalCrossentropy(reduction=reduction)
            arm.model.compile(optimizer=optimizer("sgd"), loss=loss)

    found = update(None, change)
    assert (found.output_gap, found.loss_gap) == (0, 0)
    assert [gap.norm_ratio for gap in found.gradients] == pytest.approx([8, 8])
    assert largest(found.updates) == 0


def test_a_penalty_in_one_arm_is_another_gradient_of_that_variable_only(update):
    penalised = {"dense": {**SOFTMAX["dense"], "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}}}}
    found = update({"frozen.head": [penalised]})
    assert found.loss_gap < NOISE
    kernel, bias = found.gradients
    assert kernel.max_rel > 100 * NOISE
    assert bias.max_rel == 0


@pytest.mark.parametrize("weights", ["class_weight", "sample_weight"])
def test_weights_of_samples_are_those_of_fit(update, weights):
    def change(bottleneck, frozen):
        if weights == "class_weight":
            return bottleneck, replace(frozen, fit={**frozen.fit, "class_weight": {0: 5.0, 1: 1.0, 2: 1.0}})
        feed = replace(frozen.train.feed, sample_weight=np.linspace(0, 1, 20))
        return bottleneck, replace(frozen, train=replace(frozen.train, feed=feed))

    found = update(None, change)
    assert (found.output_gap, found.loss_gap) == (0, 0)
    assert largest(found.gradients) > NOISE
    both = update(None, lambda ours, theirs: [change(theirs, arm)[1] for arm in (ours, theirs)])
    assert_equal(both)


def test_another_loss_is_told_apart_from_another_label(update):
    one_hot = {"labels": "one_hot", "training.loss": "categorical_crossentropy"}
    found = update({**one_hot, "frozen.training": {"loss": "mean_squared_error"}})
    assert (found.relabelled, found.output_gap) == (0, 0)
    assert found.loss_gap > NOISE
    assert largest(found.gradients) > NOISE


def test_renumbered_classes_are_counted(update):
    found = update({"frozen.data": {"classes": ["2", "1", "0"]}})
    assert 0 < found.relabelled < 8


def test_heads_that_cannot_be_paired_are_not_compared(update):
    assert update({"frozen.head": [{"dense": {"units": 8}}, SOFTMAX]}) is None


def test_labels_that_the_loss_refuses(update):
    assert update({"frozen.labels": "one_hot"}) is None


def test_a_step_that_hands_nothing_to_the_optimizer_is_not_compared(arms):
    """Or that raises when it is run eagerly: None, and everything as it was."""
    import keras

    from equivcheck.trace.update import trace_update

    class Odd(keras.Model):
        def train_step(self, data):
            x, _ = data
            self(x, training=True)
            self.layers[-1].kernel.assign_add(1 + self.layers[-1].kernel)
            if self.raises:
                raise ValueError
            return {"loss": keras.ops.zeros(())}

    for raises in (False, True):
        ours, theirs = arms()
        model = theirs.arm.model
        odd = Odd(model.inputs, model.outputs)
        odd.raises = raises
        odd.compile(optimizer=keras.optimizers.SGD(), loss=model.loss)
        changed = replace(theirs, arm=replace(theirs.arm, model=odd))
        before = everything(ours.arm, changed.arm)
        rows = np.arange(8)
        assert trace_update(ours, changed, rows, rows, {}) is None
        after = everything(ours.arm, changed.arm)
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=False))
        assert "apply" not in vars(odd.optimizer)
        assert not [layer.name for layer in odd.layers if "call" in vars(layer)]


def test_two_models_on_the_same_head_cannot_take_turns(arms):
    from equivcheck.trace.update import trace_update

    ours, _ = arms()
    rows = np.arange(8)
    assert trace_update(ours, ours, rows, rows, {}) is None
