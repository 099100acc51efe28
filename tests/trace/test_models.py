"""``diff_layers`` on small models made by hand: who is named as the source, what undoes it, and what fit does."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck import diff_layers
from equivcheck.measured import TrainingFlag

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("seeded")]

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(6, 8)).astype(np.float32)
STEPS = RANDOM.normal(size=(6, 5, 8)).astype(np.float32)
MODES = ["inference", "training"]


@pytest.fixture
def seeded(tensorflow):
    import keras

    keras.utils.set_random_seed(0)
    return keras


def copy_of(model):
    import keras

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy


def shift(model, name, by=1.0, weight=0):
    """Adds to a weight of a layer."""
    variable = model.get_layer(name).weights[weight]
    variable.assign(variable + by)


def stack(*layers, shape=(8,)):
    import keras

    return keras.Sequential([keras.Input(shape), *layers])


def roles(diff):
    return {row.name: row.role for row in diff.layers}


def row_of(diff, name):
    return next(row for row in diff.layers if row.name == name)


# Sources


@pytest.mark.parametrize("mode", MODES)
def test_two_faults_are_two_sources_and_what_lies_between_hands_on(seeded, mode):
    layers = seeded.layers
    model = stack(*(layers.Dense(8, activation="tanh", name=name) for name in "abcd"))
    other = copy_of(model)
    shift(other, "a", 0.1)
    shift(other, "c", 0.1)
    diff = diff_layers(model, other, ROWS, mode)
    assert roles(diff) == {"a": "source", "b": "propagated", "c": "source", "d": "propagated"}
    assert diff.first_divergence == "a"


@pytest.mark.parametrize("mode", MODES)
def test_a_plain_operation_is_a_source_as_any_layer(seeded, mode):
    """``x / 255`` in a functional graph leaves no layer, and differs all the same."""

    def make(by):
        inputs = seeded.Input((8,))
        return seeded.Model(inputs, seeded.layers.Dense(3, name="head")(seeded.ops.tanh(inputs / by)))

    other = make(127.5)
    model = make(255.0)
    model.set_weights(other.get_weights())
    diff = diff_layers(model, other, ROWS, mode)
    (source,) = diff.sources
    assert row_of(diff, source).kind == "TrueDivide"
    assert diff.first_divergence == source
    assert [row.role for row in diff.layers] == ["source", "propagated", "propagated"]


@pytest.mark.parametrize("mode", MODES)
def test_every_call_of_a_shared_layer_has_a_row(seeded, mode):
    """A shared layer with a fault is a source where it gets equal inputs, and also where it does not."""
    inputs = seeded.Input((8,))
    shared = seeded.layers.Dense(8, name="shared")
    hidden = seeded.layers.Activation("tanh", name="between")(shared(inputs))
    model = seeded.Model(inputs, seeded.layers.Dense(2, name="head")(shared(hidden)))
    other = copy_of(model)
    assert diff_layers(model, other, ROWS, mode).bit_equal
    shift(other, "shared", 0.1)
    assert roles(diff_layers(model, other, ROWS, mode)) == {
        "shared": "source",
        "between": "propagated",
        "shared#2": "source",
        "head": "propagated",
    }


@pytest.mark.parametrize("mode", MODES)
def test_attention_is_seen_part_by_part(seeded, mode):
    inputs = seeded.Input((5, 8))
    attended = seeded.layers.MultiHeadAttention(2, 4, dropout=0.2, name="attention")(inputs, inputs)
    model = seeded.Model(inputs, seeded.layers.Dense(3, name="head")(attended))
    other = copy_of(model)
    assert diff_layers(model, other, STEPS, mode).bit_equal
    kernel = other.get_layer("attention").value_dense.kernel
    kernel.assign(kernel + 0.1)
    diff = diff_layers(model, other, STEPS, mode)
    assert diff.sources == ("attention/value",)
    assert diff.first_divergence == "attention/value"


def wrapped(layers, kind):
    return {
        "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(4, name="dense"), name="outer"),
        "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(3, name="lstm"), name="outer"),
        "LSTM": lambda: layers.LSTM(3, name="outer"),
        "GRU": lambda: layers.GRU(3, dropout=0.3, name="outer"),
    }[kind]()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("kind", "sources"),
    [
        ("TimeDistributed", ("outer/dense", *(f"outer/dense#{step}" for step in range(2, 6)))),
        ("Bidirectional", ("outer/forward_lstm",)),
        ("LSTM", ("outer",)),
        ("GRU", ("outer",)),
    ],
)
def test_what_a_wrapper_calls_is_the_source(seeded, kind, sources, mode):
    """A recurrent layer is one row, whatever its cell does step by step."""
    model = stack(wrapped(seeded.layers, kind), seeded.layers.Dense(2, name="head"), shape=(5, 8))
    other = copy_of(model)
    equal = diff_layers(model, other, STEPS, mode)
    assert equal.bit_equal
    shift(other, "outer", 0.3)
    diff = diff_layers(model, other, STEPS, mode)
    assert diff.sources == sources
    assert diff.first_divergence == sources[0]
    assert roles(diff)["head"] == "propagated"


@pytest.fixture
def blocks(tensorflow):
    """Layers and models as people write them, with code of their own around their sub-layers."""
    import keras

    class Block(keras.layers.Layer):
        """``x + scale * inner(x * before)``: two weights of its own, and parts whose mode nobody passes on."""

        def build(self, shape):
            self.before = self.add_weight(shape=shape[-1:], initializer="ones", name="before")
            self.scale = self.add_weight(shape=shape[-1:], initializer="ones", name="scale")
            self.inner = keras.layers.Dense(shape[-1], name="inner")
            self.norm = keras.layers.BatchNormalization(name="norm")
            self.drop = keras.layers.Dropout(0.5, name="drop")
            for part in (self.inner, self.norm, self.drop):
                part.build(shape)

        def call(self, x):
            return x + self.scale * self.drop(self.norm(self.inner(x * self.before)))

    class Net(keras.Model):
        """A subclassed model that scales its input in its own code."""

        def __init__(self, by=1.0):
            super().__init__(name="net")
            self.by = by
            self.one = keras.layers.Dense(8, name="one")
            self.two = keras.layers.Dense(3, name="two")

        def call(self, x):
            return self.two(keras.ops.relu(self.one(x / self.by)))

    return Block, Net


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weight", ["before", "scale"])
def test_a_layer_with_parts_is_the_source_where_its_own_code_makes_the_difference(seeded, blocks, weight, mode):
    """Its parts only hand on what it made of its input; where they get equal inputs, they are equal."""
    block, _ = blocks
    model = stack(block(name="block"), block(name="again"), seeded.layers.Dense(3, name="head"))
    model(ROWS)
    other = stack(block(name="block"), block(name="again"), seeded.layers.Dense(3, name="head"))
    other(ROWS)
    other.set_weights(model.get_weights())
    assert diff_layers(model, other, ROWS, mode).bit_equal
    variable = getattr(other.get_layer("block"), weight)
    variable.assign(variable + np.arange(8, dtype=np.float32) / 8)
    diff = diff_layers(model, other, ROWS, mode)
    assert diff.sources == ("block",)
    assert roles(diff)["again/inner"] == "propagated"
    assert "again" not in roles(diff)


@pytest.mark.parametrize("mode", MODES)
def test_a_part_with_a_fault_is_named_and_not_the_layer_around_it(seeded, blocks, mode):
    block, _ = blocks
    model, other = (stack(block(name="block"), seeded.layers.Dense(3, name="head")) for _ in range(2))
    model(ROWS)
    other(ROWS)
    other.set_weights(model.get_weights())
    kernel = other.get_layer("block").inner.kernel
    kernel.assign(kernel + RANDOM.normal(size=kernel.shape))
    diff = diff_layers(model, other, ROWS, mode)
    assert diff.sources == ("block/inner",)
    assert diff.first_divergence == "block/inner"


@pytest.mark.parametrize("mode", MODES)
def test_a_subclassed_model_is_the_source_of_what_its_own_code_does(blocks, mode):
    _, net = blocks
    model, other = net(), net(2.0)
    model(ROWS)
    other(ROWS)
    other.set_weights(model.get_weights())
    diff = diff_layers(model, other, ROWS, mode)
    assert diff.sources == ("net",)
    assert diff.first_divergence == "one"
    assert diff_layers(model, model, ROWS, mode).bit_equal


# Undone


def test_a_difference_below_zero_ends_at_the_relu(seeded):
    layers = seeded.layers
    model = stack(layers.Dense(8, name="a"), layers.ReLU(name="relu"), layers.Dense(3, name="b"))
    model.get_layer("a").bias.assign(np.full(8, -100.0))
    other = copy_of(model)
    shift(other, "a", -1.0, weight=1)
    diff = diff_layers(model, other, ROWS)
    assert roles(diff) == {"a": "source", "relu": "equal", "b": "equal"}
    assert row_of(diff, "a").undone_by == "relu"
    assert not diff.equal


def test_a_scale_ends_at_normalisation_by_the_batch_and_only_there(seeded):
    """In training the scale is normalised away; in inference the moving statistics keep it."""
    layers = seeded.layers

    def make(by):
        scale, norm = layers.Rescaling(by, name="scale"), layers.BatchNormalization(epsilon=1e-12, name="norm")
        return stack(scale, norm, layers.Dense(3, name="head"))

    model, other = make(1.0), make(2.0)
    other.set_weights(model.get_weights())
    assert row_of(diff_layers(model, other, ROWS, "training"), "scale").undone_by == "norm"
    calm = diff_layers(model, other, ROWS)
    assert roles(calm) == {"scale": "source", "norm": "propagated", "head": "propagated"}
    assert row_of(calm, "scale").undone_by is None


def branched(keras, masked):
    """Three ways from ``a`` to the output; ``masked`` says which are multiplied by zero."""
    inputs = keras.Input((8,))
    source = keras.layers.Dense(8, name="a")(inputs)
    ways = []
    for name in ("left", "middle", "right"):
        hidden = keras.layers.Dense(8, name=f"{name}_dense")(source)
        zeros = keras.layers.Rescaling(0.0 if name in masked else 1.0, name=f"{name}_mask")(inputs)
        ways.append(keras.layers.Multiply(name=f"{name}_gate")([hidden, zeros]))
    return keras.Model(inputs, keras.layers.Add(name="sum")(ways))


@pytest.mark.parametrize("mode", MODES)
def test_a_difference_is_undone_where_every_way_has_ended(seeded, mode):
    model = branched(seeded, {"left", "middle", "right"})
    other = copy_of(model)
    shift(other, "a")
    diff = diff_layers(model, other, ROWS, mode)
    order = [row.name for row in diff.layers]
    gates = sorted(("left_gate", "middle_gate", "right_gate"), key=order.index)
    assert diff.sources == ("a",)
    assert row_of(diff, "a").undone_by == gates[-1]
    assert row_of(diff, "left_dense").undone_by == "left_gate"


@pytest.mark.parametrize("mode", MODES)
def test_a_difference_is_not_undone_while_one_way_carries_it_on(seeded, mode):
    model = branched(seeded, {"left", "right"})
    other = copy_of(model)
    shift(other, "a")
    diff = diff_layers(model, other, ROWS, mode)
    assert row_of(diff, "a").undone_by is None
    assert row_of(diff, "left_dense").undone_by == "left_gate"
    assert row_of(diff, "middle_dense").undone_by is None
    assert roles(diff)["sum"] == "propagated"


def test_layers_that_hand_on_their_very_input_do_not_hide_what_undoes_it(seeded):
    """Dropout gives back the tensor that it received: two in a row must not wait for each other."""
    layers = seeded.layers
    drops = [layers.Dropout(0.5, name=f"drop{number}") for number in range(3)]
    model = stack(layers.Dense(8, name="a"), *drops, layers.ReLU(name="relu"), layers.Dense(3, name="b"))
    model.get_layer("a").bias.assign(np.full(8, -100.0))
    other = copy_of(model)
    shift(other, "a", -1.0, weight=1)
    diff = diff_layers(model, other, ROWS)
    assert {row.name: row.undone_by for row in diff.layers} == {
        **dict.fromkeys(("a", "drop0", "drop1", "drop2"), "relu"),
        **dict.fromkeys(("relu", "b")),
    }


def test_a_nested_model_s_first_layer_can_undo_what_comes_from_outside(seeded):
    layers = seeded.layers
    inner = stack(layers.ReLU(name="relu"), layers.Dense(3, name="b"))
    model = stack(layers.Dense(8, name="a"), inner)
    model.get_layer("a").bias.assign(np.full(8, -100.0))
    other = copy_of(model)
    shift(other, "a", -1.0, weight=1)
    diff = diff_layers(model, other, ROWS)
    assert row_of(diff, "a").undone_by == f"{model.layers[1].name}/relu"


def test_the_code_around_a_part_may_carry_its_difference_on(seeded):
    """The part's listed taker is equal again, but the block adds the part's output itself."""

    class Residual(seeded.layers.Layer):
        def __init__(self, *, keep):
            super().__init__(name="residual")
            self.keep = keep
            self.a = seeded.layers.Dense(8, name="a")
            self.relu = seeded.layers.ReLU(name="relu")

        def call(self, x):
            y = self.a(x)
            return self.relu(y) + (y if self.keep else 0.0)

    for keep, end in ((True, None), (False, "residual/relu")):
        model, other = stack(Residual(keep=keep)), stack(Residual(keep=keep))
        model.layers[0].a.bias.assign(np.full(8, -100.0))
        other.set_weights(model.get_weights())
        bias = other.layers[0].a.bias
        bias.assign(bias - 1)
        diff = diff_layers(model, other, ROWS)
        assert diff.sources == ("residual/a",)
        assert row_of(diff, "residual/a").undone_by == end


# Rounding


def test_equal_to_the_last_bit_has_no_floor(seeded):
    model = stack(seeded.layers.Dense(4, name="a"))
    diff = diff_layers(model, copy_of(model), ROWS)
    assert [(row.distance.bit_equal, row.distance.floor, row.distance.multiple) for row in diff.layers] == [
        (True, None, None)
    ]


@pytest.mark.parametrize("mode", MODES)
def test_one_product_by_two_kernels_is_no_divergence(seeded, mode):
    """A Dense and a convolution of one pixel: the same sums, rounded in another order."""
    layers = seeded.layers
    images = RANDOM.normal(size=(4, 3, 3, 700)).astype(np.float32)
    kinds = {"Dense": lambda: layers.Dense(64, name="mix"), "Conv2D": lambda: layers.Conv2D(64, 1, name="mix")}
    model, other = (
        stack(mix(), layers.ReLU(name="relu"), layers.Dense(5, name="head"), shape=(3, 3, 700))
        for mix in kinds.values()
    )
    kernel, *rest = model.get_weights()
    other.set_weights([kernel.reshape(1, 1, 700, 64), *rest])
    diff = diff_layers(model, other, images, mode)
    if diff.bit_equal:
        pytest.skip("this processor's two kernels add in one order")
    assert_rounding_only(diff, "mix")


@pytest.mark.parametrize("mode", MODES)
def test_terms_added_in_another_order_are_no_divergence(seeded, mode):
    class Backwards(seeded.layers.Dense):
        def call(self, inputs):
            return seeded.ops.matmul(inputs[..., ::-1], self.kernel[::-1]) + self.bias

    model, other = (
        stack(kind(16, name="a"), seeded.layers.BatchNormalization(name="norm"), seeded.layers.Dense(4, name="b"))
        for kind in (seeded.layers.Dense, Backwards)
    )
    other.set_weights(model.get_weights())
    assert_rounding_only(diff_layers(model, other, ROWS, mode), "a")


def assert_rounding_only(diff, first):
    assert diff.equal
    assert not diff.bit_equal
    assert (diff.first_divergence, diff.first_inexact, diff.sources) == (None, first, ())
    inexact = [row.distance for row in diff.layers if not row.distance.bit_equal]
    assert inexact
    for gap in inexact:
        assert gap.floor is not None
        assert gap.floor > 0
        assert gap.multiple == pytest.approx(gap.max_rel / gap.floor)


# Modes


@pytest.mark.parametrize("how", ["copy", "itself", "shared layers"])
def test_random_layers_draw_the_same_in_both_models(seeded, how):
    """Over several batches, and whether the models share their generators or not."""
    layers = seeded.layers
    model = stack(
        layers.GaussianNoise(0.3, name="noise"),
        layers.Dense(8, name="a"),
        layers.Dropout(0.5, name="drop"),
        layers.Dense(8, name="b"),
        layers.Dropout(0.5, name="drop_again"),
        layers.Dense(3, name="c"),
    )
    if how == "itself":
        other = model
    elif how == "copy":
        other = copy_of(model)
        other(ROWS, training=True)  # its generators are elsewhere now
    else:
        other = stack(*model.layers)
    assert diff_layers(model, other, ROWS, "training", batch_size=2).bit_equal


def test_dropout_in_one_model_only_is_the_only_source(seeded):
    layers = seeded.layers
    model, other = (
        stack(layers.Dense(8, name="a"), layers.Dropout(rate, name="drop"), layers.Dense(3, name="b"))
        for rate in (0.0, 0.5)
    )
    other.set_weights(model.get_weights())
    diff = diff_layers(model, other, ROWS, "training")
    assert roles(diff) == {"a": "equal", "drop": "source", "b": "propagated"}
    assert row_of(diff, "drop").stochastic == (False, True)
    assert diff_layers(model, other, ROWS).bit_equal


def test_a_dropout_that_one_model_lacks_is_left_over_with_a_reason(seeded):
    """It has no partner to be compared with; what comes behind it only hands on."""
    layers = seeded.layers
    model = stack(layers.Dense(8, name="a"), layers.Dense(3, name="b"))
    other = stack(layers.Dense(8, name="a"), layers.Dropout(0.5, name="drop"), layers.Dense(3, name="b"))
    other.set_weights(model.get_weights())
    diff = diff_layers(model, other, ROWS, "training")
    assert [(row.name, row.reason) for row in diff.unaligned] == [("drop", "only in the second model")]
    assert roles(diff) == {"a": "equal", "drop": None, "b": "propagated"}
    assert not diff.equal
    assert diff_layers(model, other, ROWS).sources == ()


def test_frozen_normalisation_is_the_source_in_training_only(seeded):
    """``trainable=False`` makes BatchNormalization use its moving statistics, whatever ``training`` says."""
    layers = seeded.layers
    model = stack(layers.Dense(8, name="a"), layers.BatchNormalization(name="norm"), layers.Dense(3, name="b"))
    other = copy_of(model)
    other.get_layer("norm").trainable = False
    diff = diff_layers(model, other, ROWS, "training")
    assert roles(diff) == {"a": "equal", "norm": "source", "b": "propagated"}
    assert row_of(diff, "norm").batch_dependent == (True, False)
    assert row_of(diff, "norm").stochastic == (False, False)
    assert diff_layers(model, other, ROWS).bit_equal


def test_a_backbone_called_with_training_false_is_seen_as_keras_runs_it(seeded):
    """The flag that is written into the graph reaches the layers inside, whatever the outer model is called with."""
    layers = seeded.layers

    def make(**flag):
        inner = seeded.Sequential(
            [seeded.Input((8,)), layers.BatchNormalization(name="norm"), layers.Dropout(0.5, name="drop")], name="base"
        )
        inputs = seeded.Input((8,))
        return seeded.Model(inputs, layers.Dense(3, name="head")(inner(inputs, **flag)))

    model, other = make(training=False), make()
    other.set_weights(model.get_weights())
    diff = diff_layers(model, other, ROWS, "training")
    written, followed = row_of(diff, "base/norm").flags
    calm = diff_layers(model, other, ROWS)
    assert calm.bit_equal
    assert followed == TrainingFlag(fit=True, evaluate=False, predict=False)
    if written.fit:  # Keras that overrides what is written; EQ406 is about it
        assert diff.bit_equal
    else:
        assert written == TrainingFlag(fit=False, evaluate=False, predict=False)
        assert diff.sources == ("base/norm", "base/drop")


@pytest.mark.parametrize("mode", MODES)
def test_flags_and_behaviour_are_those_of_all_phases_in_either_mode(seeded, mode):
    class Centred(seeded.layers.Layer):
        def call(self, x):
            return x - seeded.ops.mean(x, axis=0, keepdims=True)

    class Doubles(seeded.layers.Layer):
        def call(self, x, training=None):
            return x * 2 if training else x

    layers = seeded.layers
    model = stack(
        layers.Dense(8, name="dense"),
        layers.BatchNormalization(name="norm"),
        layers.Dropout(0.5, name="drop"),
        Centred(name="centred"),
        Doubles(name="doubles"),
        layers.LayerNormalization(name="layer_norm"),
    )
    diff = diff_layers(model, model, ROWS, mode)
    found = {row.name: (row.flags[1].fit, row.stochastic[1], row.batch_dependent[1]) for row in diff.layers}
    for name, expected in {
        "dense": (False, False),
        "norm": (False, True),
        "drop": (True, False),
        "centred": (False, True),
        "doubles": (False, False),
        "layer_norm": (False, False),
    }.items():
        assert (name, found[name][1:]) == (name, expected)
    for name in ("norm", "drop", "doubles"):
        assert row_of(diff, name).flags == (TrainingFlag(fit=True, evaluate=False, predict=False),) * 2


@pytest.mark.parametrize("how", ["lambda", "activation"])
def test_a_function_of_the_user_s_in_a_layer_of_keras_is_measured(seeded, how):
    def center(x):
        return x - seeded.ops.mean(x, axis=0)

    layer = seeded.layers.Lambda(center, name="center") if how == "lambda" else seeded.layers.Dense(8, name="center")
    if how == "activation":
        layer.activation = center
    model = stack(layer)
    assert row_of(diff_layers(model, model, ROWS), "center").batch_dependent == (True, True)


# What is not compared


def test_layers_that_are_not_compared_say_why(seeded):
    layers = seeded.layers
    model = stack(layers.Dense(8, name="a"), layers.Dense(4, name="b"), layers.Dense(3, name="only_here"))
    other = stack(
        layers.Dropout(0.1, name="only_there"),
        layers.Dense(8, name="a"),
        layers.Dense(5, name="b"),
        layers.ReLU(name="c"),
    )
    other.get_layer("a").set_weights(model.get_layer("a").get_weights())
    diff = diff_layers(model, other, ROWS)
    assert {row.name: row.reason for row in diff.layers} == {
        "only_there": "only in the second model",
        "a": "",
        "b": "outputs have other shapes: (batch, 4) and (batch, 5)",
        "only_here": "only in the first model",
        "c": "only in the second model",
    }
    assert [row.name for row in diff.unaligned] == [row.name for row in diff.layers if row.role is None]
    assert roles(diff)["a"] == "equal"
    assert not diff.equal
    assert not diff.bit_equal


OPERATIONS = {
    "mean over the batch": (lambda ops, x: x - ops.mean(x, axis=0, keepdims=True), "Mean", True),
    "one number of the batch": (lambda ops, x: x / ops.max(ops.abs(x)), "Max", True),
    "softmax over the batch": (lambda ops, x: ops.softmax(x, axis=0), "Softmax", True),
    "mean over the features": (lambda ops, x: x - ops.mean(x, axis=1, keepdims=True), "Mean", False),
    "samples along the second axis": (lambda ops, x: ops.transpose(ops.transpose(x)), "Transpose", False),
    "sum of two": (lambda ops, x: x + ops.square(x), "Add", False),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_plain_operations_may_mix_a_batch(name):
    """They hold no variable and take no flag, and yet the answer for one sample may hang on the others."""
    import keras

    compute, kind, mixes = OPERATIONS[name]
    inputs = keras.Input((8,))
    model = keras.Model(inputs, compute(keras.ops, keras.layers.Dense(4)(inputs)))
    found = [row.batch_dependent for row in diff_layers(model, model, ROWS).layers if row.kind == kind]
    assert found
    assert set(found) == {(mixes, mixes)}
