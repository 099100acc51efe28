"""Kinds of models and of what goes through them: each is equal to its twin, and a change in it is found."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck import diff_layers

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

R = np.random.default_rng(0)
X = R.normal(size=(10, 6)).astype(np.float32)
FRAMES = R.normal(size=(6, 5, 4)).astype(np.float32)
WORDS = R.integers(0, 10, (7, 4))


def two_inputs(keras, *, names):
    first, second = keras.Input((6,), name="z"), keras.Input((3,), name="a")
    h, g = keras.layers.Dense(4, name="h")(first), keras.layers.Dense(4, name="g")(second)
    out = keras.layers.Dense(2, name="out")(h + g)
    return keras.Model(
        {"z": first, "a": second} if names else [first, second], {"out": out, "h": h} if names else (out, h)
    )


def sequential(keras, shape, *layers, dtype="float32"):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])


def subclassed(keras, kind):  # noqa: C901  (one class with a turn for each kind)
    import tensorflow as tf

    class Middle(keras.layers.Layer):
        def call(self, x):
            if kind == "numpy":
                return tf.constant(x.numpy() * 2)
            return tf.boolean_mask(x, x[:, 0] < 1e9) if kind == "mask" else x

    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.several = [keras.layers.Dense(6, name=f"dense_{i}") for i in range(2)]
            self.middle = Middle(name="middle")

        def call(self, x, training=None):
            if isinstance(x, dict):
                return {"y": self.several[0](x["p"]), "z": (self.several[1](x["p"]), x["q"])}
            if isinstance(x, tf.RaggedTensor):
                x = tf.reduce_mean(x, axis=1)
            for layer in self.several:
                x = self.middle(layer(x))
                if training and kind == "flow":
                    x = x * 0.5
                if kind == "values" and keras.ops.sum(x) > 1e9:
                    x = x * 0.5
            return x

    if kind == "function":
        Network.call = tf.function(Network.call)
    return Network()


def embedding(keras, *behind, mask):
    return sequential(keras, (None,), keras.layers.Embedding(10, 4, mask_zero=mask, name="e"), *behind, dtype="int32")


def attention(keras):
    inputs = keras.Input((5, 4))
    attended = keras.layers.MultiHeadAttention(2, 3, dropout=0.2, name="attention")(inputs, inputs)
    return keras.Model(inputs, keras.layers.LayerNormalization(name="norm")(attended + inputs))


def dense_of(policy):
    return lambda k: sequential(k, (6,), *(k.layers.Dense(5, name=name, dtype=policy) for name in ("a", "b")))


def ragged():
    import tensorflow as tf

    return tf.RaggedTensor.from_row_lengths(X, [3, 1, 4, 2])


def sparse():
    import tensorflow as tf

    return tf.sparse.from_dense(np.eye(6, dtype=np.float32))


POLICIES = ("float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16")

KINDS = {
    "dictionaries": (lambda k: two_inputs(k, names=True), {"z": X, "a": X[:, :3]}),
    "lists and tuples": (lambda k: two_inputs(k, names=False), [[X, X[:, :3]], [X[:3], X[:3, :3]]]),
    "inputs by their names": (lambda k: two_inputs(k, names=False), {"z": X, "a": X[:, :3]}),
    "lengths that vary": (
        lambda k: sequential(k, (None, 4), k.layers.Conv1D(3, 3, name="c"), k.layers.GlobalMaxPooling1D(name="m")),
        [FRAMES, FRAMES[:2, :3], FRAMES[:, 1:]],
    ),
    "ragged": (lambda k: subclassed(k, "plain"), ragged),
    "sparse": (lambda k: k.Sequential([k.Input((6,), sparse=True), k.layers.Dense(2, name="d")]), sparse),
    "integers": (lambda k: embedding(k, k.layers.Dense(2, name="d"), mask=False), WORDS),
    "masks": (lambda k: embedding(k, k.layers.LSTM(3, name="l"), mask=True), [WORDS, WORDS[:, :2]]),
    "time steps": (
        lambda k: sequential(
            k, (5, 4), k.layers.Bidirectional(k.layers.GRU(3, return_sequences=True, name="g"), name="both"),
            k.layers.TimeDistributed(k.layers.Dense(2, name="d"), name="each"),
        ),
        FRAMES,
    ),
    "attention": (attention, FRAMES),
    "python control flow": (lambda k: subclassed(k, "flow"), X),
    "flow by values": (lambda k: subclassed(k, "values"), X),
    "not a graph": (lambda k: subclassed(k, "numpy"), X),
    "shapes by values": (lambda k: subclassed(k, "mask"), X),
    "a traced call": (lambda k: subclassed(k, "function"), X),
    "dictionaries of a subclass": (lambda k: subclassed(k, "plain"), {"p": X, "q": X[:, :2]}),
    "unbuilt": (lambda k: k.Sequential([k.layers.Dense(4, name="a"), k.layers.Dropout(0.5, name="b")]), X),
    "batch statistics": (
        lambda k: sequential(k, (6,), k.layers.Dense(4, name="a"), k.layers.BatchNormalization(name="b")), X,
    ),
    **{policy: (dense_of(policy), X) for policy in POLICIES},
}  # fmt: skip


def made(make, *, eager=False):
    import keras

    keras.utils.set_random_seed(0)
    model = make(keras)
    if eager:
        model.compile(run_eagerly=True)
    return model


#: Seconds each.
SLOW = {"time steps", "masks"}


# What Keras says of a subclass without build().
@pytest.mark.filterwarnings("ignore:`build:UserWarning")
@pytest.mark.parametrize("mode", ["inference", pytest.param("training", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind in SLOW)) for kind in KINDS])
def test_a_twin_is_equal_to_the_last_bit_and_a_change_is_found(kind, mode):
    make, batches = KINDS[kind]
    batches = batches() if callable(batches) else batches
    model, twin = made(make), made(make)
    diff = diff_layers(model, twin, batches, mode, batch_size=4)
    assert diff.bit_equal, str(diff)
    changed = twin.trainable_variables[0]
    changed.assign(np.asarray(changed) + np.asarray(0.5, changed.dtype))
    diff = diff_layers(model, twin, batches, mode, batch_size=4)
    assert diff.sources == (diff.first_divergence,)
    assert diff.first_divergence is not None


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_model_that_runs_eagerly(mode):
    """As it does in fit: nothing is traced."""
    lazy, eager = made(dense_of("float32")), made(dense_of("float32"), eager=True)
    assert diff_layers(lazy, eager, X, mode).equal


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_model_compared_with_itself(mode):
    """Random layers and statistics included, which both passes share."""
    import keras

    layers = [
        keras.layers.Dropout(0.5, name="a"),
        keras.layers.BatchNormalization(name="b"),
        keras.layers.Dense(2, name="c"),
    ]
    model = sequential(keras, (6,), *layers)
    assert diff_layers(model, model, X, mode, batch_size=4).bit_equal


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_models_that_share_layers(mode):
    import keras

    shared = keras.layers.Dense(4, name="shared")
    models = [sequential(keras, (6,), shared, keras.layers.Dense(2, name="own")) for _ in range(2)]
    diff = diff_layers(*models, X, mode)
    assert [(row.name, row.role) for row in diff.layers] == [("shared", "equal"), ("own", "source")]
    half = sequential(keras, (6,), shared)
    assert [row.reason for row in diff_layers(models[0], half, X, mode).layers] == ["", "only in the first model"]


def lookups(keras):
    layers = keras.layers
    text = np.array([["a", "b"], ["c", "d"], ["e", "f"]])
    return {
        "argmax": (lambda k: layers.Lambda(lambda x: keras.ops.argmax(x * (1 - 2 * k), -1), name="x"), X, "float32"),
        "bool": (lambda k: layers.Lambda(lambda x: x > k / 2, name="x"), X, "float32"),
        "hashing": (lambda k: layers.Hashing(7, salt=k + 1, name="x"), text, "string"),
        "integers": (lambda k: layers.IntegerLookup(vocabulary=[1, 2, 3][:: 1 - 2 * k], name="x"), WORDS, "int64"),
        "text": (lambda k: layers.StringLookup(vocabulary=list("abcdef")[:: 1 - 2 * k], name="x"), text, "string"),
        "text out": (
            lambda k: layers.StringLookup(vocabulary=list("abc")[:: 1 - 2 * k], invert=True, name="x"),
            WORDS % 4,
            "int64",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("kind", ["argmax", "bool", "hashing", "integers", "text", "text out"])
def test_of_integers_and_text_any_mismatch_differs(kind, mode):
    """``beyond`` is the share of the elements that are unequal."""
    import keras

    make, batches, dtype = lookups(keras)[kind]
    models = [sequential(keras, batches.shape[1:], make(k), dtype=dtype) for k in (0, 0, 1)]
    assert diff_layers(*models[:2], batches, mode).bit_equal
    (row,) = diff_layers(models[0], models[2], batches, mode, batch_size=2).layers
    unequal = np.asarray(models[0](batches)) != np.asarray(models[2](batches))
    assert (row.role, row.distance.noise) == ("source", 0.0)
    assert row.distance.beyond == pytest.approx(unequal.mean())


@pytest.mark.parametrize("ragged", [False, True])
def test_words_to_vectors(ragged):
    import keras

    text = np.array(["a b c", "b c d", "e f"], dtype=object)

    def model(words):
        layer = keras.layers.TextVectorization(vocabulary=list(words), ragged=ragged, name="words")
        return sequential(keras, (), layer, dtype="string")

    assert diff_layers(model("abcdef"), model("abcdef"), text).bit_equal
    diff = diff_layers(model("abcdef"), model("abcdfe"), text)
    assert diff.first_divergence is not None
    assert diff.first_divergence.startswith("words")
