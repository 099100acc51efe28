"""``diff_layers`` as a user meets it: what it says, what it refuses, and the table."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from equivcheck import InconclusiveError, InputError, LayerDiff, diff_layers
from equivcheck.measured import Distance, LayerGap, TrainingFlag

X = np.random.default_rng(0).normal(size=(10, 6)).astype(np.float32)

EXACT = Distance(0.0, 0.0, 1.0)
ROUNDED = Distance(1e-7, 1e-7, 1.0, floor=1e-7)
FAR = Distance(0.5, 0.25, 0.9, floor=1e-6)


def row(name="conv", distance=EXACT, role="equal", **more):
    return LayerGap(
        **{"name": name, "kind": "Conv2D", "a": name, "b": name, "distance": distance, "role": role, **more}
    )


def lone(name):
    return row(name, None, None, a=None, reason="only in the second model")


def diff_of(*rows):
    return LayerDiff("inference", rows, 2, 40)


# --- what it says ---

SIZE = "0.25 of its largest activation, 2.5e+05 times its noise floor"
ON = "(40 samples in 2 batches, inference mode)"
SAID = {
    "equal": (diff_of(row()), f"The models are equal to the last bit in all 1 layers that were compared {ON}."),
    "rounding": (
        diff_of(row(), row("dense", ROUNDED)),
        (
            f"The models are equal in all 2 layers that were compared {ON}. dense is the first that differs, by "
            f"rounding only."
        ),
    ),
    "divergent": (
        diff_of(row(), row("a", FAR, "source"), row("b", FAR, "propagated"), row("c", FAR, "source")),
        f"The models part at a: {SIZE} {ON}. Sources a, c made the difference.",
    ),
    "another name": (
        diff_of(row("new", FAR, "source", a="old")),
        f"The models part at new (old in the first model): {SIZE} {ON}. Source new made the difference.",
    ),
    "undone": (
        diff_of(row("a", FAR, "source", undone_by="flat"), row("flat")),
        f"The models part at a: {SIZE} {ON}. Source a made the difference; it is gone again behind flat.",
    ),
    "not finite": (
        diff_of(row(), row("log", nonfinite=(True, True))),
        (
            f"The models are equal to the last bit in all 2 layers that were compared {ON}. NaN or infinity in the "
            f"first model from log on and the second from log on."
        ),
    ),
    "not compared": (
        diff_of(row(), *map(lone, "abcdefg")),
        (
            f"The models are equal to the last bit in all 1 layers that were compared {ON}. 7 layers were not "
            f"compared: a, b, c, d, e and 2 more."
        ),
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_the_outcome_in_a_few_sentences(case):
    diff, said = SAID[case]
    assert str(diff) == said
    assert 1 <= len(re.findall(r"\.(?: |$)", said)) <= 4


def test_never_more_than_four_sentences():
    """However much there is to say."""
    diff = diff_of(
        row("a", FAR, "source", undone_by="b", nonfinite=(True, False)), row("b", nonfinite=(True, True)), lone("c")
    )
    assert len(re.findall(r"\.(?: |$)", str(diff))) <= 4


def test_what_comes_first():
    diff = diff_of(row(), row("a", ROUNDED), row("b", FAR, "source", nonfinite=(False, True), a="b1"), lone("c"))
    assert (diff.equal, diff.bit_equal) == (False, False)
    assert (diff.first_inexact, diff.first_divergence) == ("a", "b")
    assert diff.sources == ("b",)
    assert diff.first_nonfinite == (None, "b")
    assert [gap.name for gap in diff.unaligned] == ["c"]


def test_equal_is_only_what_was_compared_in_full():
    assert diff_of(row(), row("a", ROUNDED)).equal
    assert not diff_of(row(), row("a", ROUNDED)).bit_equal
    assert not diff_of(row(), lone("a")).equal
    assert not diff_of(row(), lone("a")).bit_equal


# --- the table ---

COLUMNS = {
    **dict.fromkeys(["name", "kind", "a", "b", "role", "undone_by", "reason"], "object"),
    **dict.fromkeys(
        ["max_abs", "max_rel", "mean_abs", "cosine", "beyond", "tolerance", "noise", "floor", "multiple"], "float64"
    ),
    **dict.fromkeys([f"{name}_{m}" for name in ("nonfinite", "stochastic", "batch_dependent") for m in "ab"], "bool"),
    **dict.fromkeys([f"flag_{phase}_{m}" for phase in ("fit", "evaluate", "predict") for m in "ab"], "boolean"),
}

TABLES = {
    "no row": (),
    "equal": (row(),),
    "nothing compared": (lone("a"),),
    "flags": (row(flags=(TrainingFlag(fit=True, predict=False), TrainingFlag())), lone("a")),
    "divergent": (row("a", FAR, "source", undone_by="b"), row("b")),
}


@pytest.mark.parametrize("case", TABLES)
def test_columns_and_types_do_not_depend_on_the_rows(case):
    frame = diff_of(*TABLES[case]).to_frame()
    assert list(frame.columns) == list(COLUMNS)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == COLUMNS
    assert len(frame) == len(TABLES[case])


def test_the_table_says_what_the_rows_say():
    frame = diff_of(
        row("a", FAR, "source", flags=(TrainingFlag(fit=True), TrainingFlag(fit=False))), lone("b")
    ).to_frame()
    first, second = frame.to_dict("records")
    assert (first["max_rel"], first["multiple"], first["role"]) == (0.25, pytest.approx(2.5e5), "source")
    assert (first["flag_fit_a"], first["flag_fit_b"]) == (True, False)
    assert math.isnan(second["max_rel"])
    assert frame["a"].isna().tolist() == [False, True]
    assert frame["flag_predict_a"].isna().all()
    assert frame[frame["role"] == "source"]["name"].tolist() == ["a"]


# --- what it refuses ---


@pytest.mark.parametrize("mode", ["fit", "Training", None, 1, ["inference"]])
def test_only_two_modes(mode):
    with pytest.raises(InputError, match=r'^mode: expected "inference" or "training", found '):
        diff_layers(None, None, X, mode)


@pytest.mark.parametrize(
    "given", [{"batch_size": 0}, {"batch_size": "4"}, {"batch_size": None}, {"max_batches": 0}, {"max_batches": 2.5}]
)
def test_numbers_are_whole_and_positive(given):
    ((name, value),) = given.items()
    with pytest.raises(InputError, match=rf"^{name}: expected a whole number of at least 1, found {value!r}"):
        diff_layers(None, None, X, **given)


@pytest.fixture
def keras(tensorflow):
    import keras

    keras.utils.set_random_seed(0)
    return keras


def dense(keras, *, size=6, name="dense"):
    return keras.Sequential([keras.Input((size,), name="x"), keras.layers.Dense(3, name=name)])


def image(keras):
    return keras.Sequential([keras.Input((6, 6, 3)), keras.layers.Flatten(name="flat")])


def two(keras):
    first, second = keras.Input((6,), name="p"), keras.Input((2,), name="q")
    return keras.Model([first, second], keras.layers.Concatenate(name="both")([first, second]))


@pytest.mark.tensorflow
@pytest.mark.parametrize("other", [None, "model.keras", 3, "a layer"])
def test_only_keras_models(keras, other):
    other = keras.layers.Dense(3) if other == "a layer" else other
    for name, models in (("model_a", (other, dense(keras))), ("model_b", (dense(keras), other))):
        with pytest.raises(InputError, match=rf"^{name}: expected a Keras model, found {type(other).__name__}$"):
            diff_layers(*models, X)


def dense_pair(keras):
    return dense(keras), dense(keras)


TAKES = r"model_a takes \(batch, 6\); the batches hold "
REFUSED = {
    "other sizes": (lambda k: (dense(k), dense(k, size=7)), X, r"model_b takes \(batch, 7\); the batches hold"),
    "other ranks": (lambda k: (image(k), dense(k)), X, r"model_a takes \(batch, 6, 6, 3\); the batches hold"),
    "more inputs": (lambda k: (dense(k), two(k)), X, "model_b takes 2 inputs; the batches hold 1"),
    "fewer inputs": (lambda k: (two(k), dense(k)), [[X, X[:, :2]]], "model_b takes 1 inputs; the batches hold 2"),
    "a missing name": (
        lambda k: (two(k), two(k)),
        {"p": X, "r": X},
        "takes an input called 'q'; the batches hold p, r",
    ),
    "text": (dense_pair, np.array([["a"] * 6]), "model_a takes float32; the batches hold string"),
    "a batch without samples' axis": (dense_pair, [X[0]], TAKES + r"\(batch\)"),
    "a later batch": (dense_pair, [X, X[:, :3]], TAKES + r"\(batch, 3\)"),
    "samples and labels": (dense_pair, (X, np.zeros(10)), TAKES + r"\(batch\)"),
    "no common layer": (
        lambda k: (dense(k), k.Sequential([k.Input((6,)), k.layers.Softmax(name="soft")])),
        X,
        "model_a and model_b have no layer in common",
    ),
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("case", REFUSED)
def test_models_and_batches_that_do_not_fit(keras, case):
    make, batches, said = REFUSED[case]
    for mode in ("inference", "training"):
        with pytest.raises(InputError, match=said) as caught:
            diff_layers(*make(keras), batches, mode)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.tensorflow
def test_a_model_without_layers(keras):
    with pytest.raises(InconclusiveError, match="has no layers"):
        diff_layers(keras.Sequential(), keras.Sequential(), X)


@pytest.mark.tensorflow
def test_a_stream_without_end_needs_max_batches(keras, monkeypatch):
    from equivcheck.trace import batches

    monkeypatch.setattr(batches, "UNSIZED", batches.LONG)
    model = dense(keras)
    with pytest.raises(InputError, match="max_batches="):
        diff_layers(model, model, (X for _ in iter(int, 1)))
    found = diff_layers(model, model, (X for _ in iter(int, 1)), max_batches=3)
    assert (found.batches, found.samples, found.bit_equal) == (3, 30, True)


# --- NaN and infinity ---


def log_net(keras, shift):
    """Takes a logarithm of what may be negative, and a layer before it that does not."""
    inputs = keras.Input((6,))
    x = keras.layers.ReLU(name="relu")(inputs)
    x = keras.layers.Lambda(lambda x: keras.ops.log(x + shift), name="log")(x)
    return keras.Model(inputs, keras.layers.Activation("tanh", name="tanh")(x * 2))


@pytest.mark.tensorflow
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize(
    ("shifts", "first"),
    [
        ((0, 0), ("log", "log")),
        ((0, 1), ("log", None)),
        ((1, 0), (None, "log")),
        ((0, -1), ("log", "log")),
        ((1, 1), (None, None)),
    ],
)
def test_the_first_layer_that_is_not_finite(keras, mode, shifts, first):
    diff = diff_layers(*(log_net(keras, shift) for shift in shifts), X, mode, batch_size=4)
    assert diff.first_nonfinite == first
    assert diff.bit_equal == (shifts[0] == shifts[1])
    assert ("NaN or infinity" in str(diff)) == any(first)
    if shifts[0] != shifts[1]:
        assert diff.first_divergence == "log"


@pytest.mark.tensorflow
def test_nan_in_the_batches_themselves(keras):
    model = dense(keras)
    broken = X.copy()
    broken[3, 2] = np.nan
    diff = diff_layers(model, model, broken)
    assert diff.first_nonfinite == ("dense", "dense")
    assert diff.bit_equal


@pytest.mark.tensorflow
def test_a_layer_that_only_one_model_has_can_be_the_first(keras):
    """It was compared with nothing, but what it gave was seen."""
    plain = keras.Sequential([keras.Input((6,)), keras.layers.ReLU(name="relu"), keras.layers.Dense(6, name="out")])
    extra = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.ReLU(name="relu"),
            keras.layers.Lambda(keras.ops.log, name="log"),
            keras.layers.Dense(6, name="out"),
        ]
    )
    assert diff_layers(plain, extra, X).first_nonfinite == (None, "log")
    assert diff_layers(extra, plain, X).first_nonfinite == ("log", None)


# --- layers that raise ---


def failing(keras, fail, *, eager=False):
    """A model with a layer, inside another model, that fails as it is told to."""

    class Fragile(keras.layers.Layer):
        def call(self, x):
            return fail(x)

        def compute_output_shape(self, shape):
            return shape

    inner = keras.Sequential([Fragile(name="fragile")], name="inner")
    model = keras.Sequential([keras.layers.Dense(6, name="dense"), inner])
    model.compile(run_eagerly=eager)
    return model


def always(_x):
    raise ValueError("broken\n\nin two lines")


def on_large_values(x):
    import tensorflow as tf

    with tf.control_dependencies([tf.debugging.assert_less(tf.reduce_max(x), 100.0, "too large")]):
        return tf.identity(x)


@pytest.mark.tensorflow
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(("fail", "said"), [(always, "broken in two lines"), (on_large_values, "too large")])
def test_a_layer_that_raises_is_named_by_its_path(keras, mode, eager, fail, said):
    """Also in the second batch, and where a graph does not say which layer it was."""
    models = [failing(keras, fail, eager=eager) for _ in range(2)]
    with pytest.raises(InconclusiveError) as caught:
        diff_layers(*models, [X, X * 1000], mode)
    assert str(caught.value).startswith("layer inner/fragile (Fragile) raised ")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def short_of_memory(kind, most):
    """A layer that has memory for so many samples only: as Python says so, as an eager kernel does, as a graph does."""
    import tensorflow as tf

    def check(x):
        if len(x) > most:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM") if kind == "kernel" else MemoryError("OOM")
        return x

    if kind == "graph":
        return lambda x: tf.ensure_shape(tf.py_function(check, [x], tf.float32), x.shape)
    return lambda x: x if tf.is_symbolic_tensor(x) else check(x)


def short_model(keras, kind, most, *, scale=1.0):
    keras.utils.set_random_seed(0)
    model = failing(keras, short_of_memory(kind, most), eager=kind != "graph")
    model(X[:1])
    kernel = model.get_layer("dense").kernel
    kernel.assign(kernel * scale)
    return model


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["python", "kernel", "graph"])
def test_a_batch_that_is_too_large_is_halved_in_inference_mode(keras, kind):
    """With the same result as a machine with more memory gives, and nothing counted twice."""
    large, small = (
        diff_layers(*(short_model(keras, kind, most, scale=scale) for scale in (1.0, 1.5)), [X, X[:7]])
        for most in (100, 3)
    )
    assert (small.batches, small.samples) == (large.batches, large.samples) == (2, 17)
    for one, other in zip(large.layers, small.layers, strict=True):
        assert (one.name, one.role) == (other.name, other.role)
        for measure in ("max_abs", "mean_abs", "beyond", "tolerance", "cosine"):
            expected = getattr(one.distance, measure)
            assert getattr(other.distance, measure) == pytest.approx(expected, rel=1e-5), measure


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["python", "kernel", "graph"])
def test_in_training_mode_a_batch_is_not_halved(keras, kind):
    """Batch statistics would be others."""
    model = short_model(keras, kind, 3)
    with pytest.raises(InconclusiveError, match=r"memory was not enough .* batch of 10 samples; use smaller batches"):
        diff_layers(model, model, X, "training")
    assert diff_layers(model, model, X, "training", batch_size=3).bit_equal


@pytest.mark.tensorflow
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_one_sample_that_is_too_large(keras, mode):
    model = failing(keras, short_of_memory("kernel", 0))
    with pytest.raises(InconclusiveError, match=r"memory|OOM|MemoryError"):
        diff_layers(model, model, X, mode)
