"""Whether a loss understands its labels: asked of the loss itself, for every loss that a spec may name."""

from __future__ import annotations

import numpy as np
import pytest

from equivcheck.spec.keras_names import LOSSES

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

CLASSES = np.tile(np.arange(4), 3)
LABELS = {
    "sparse": CLASSES[:, None],
    "flat": CLASSES,
    "one_hot": np.eye(4, dtype=np.float32)[CLASSES],
    "binary": (CLASSES[:, None] % 2).astype(np.float32),
}
SPARSE = ("sparse_categorical_crossentropy",)
#: Losses for a single output; the others compare distributions over several.
BINARY = ("binary_crossentropy", "binary_focal_crossentropy", "hinge", "squared_hinge", "mean_squared_error", "huber")


@pytest.fixture(scope="module")
def traced(tensorflow, make_arm):
    """What is measured on a softmax (or sigmoid) head with a loss and labels: the labels' trace, as evidence has it."""
    import keras

    from equivcheck.trace.observed import observe
    from equivcheck.trace.pair import trace_pair

    def measure(loss, labels, outputs=4):
        y = LABELS[labels] if isinstance(labels, str) else labels
        x = np.random.default_rng(0).normal(size=(len(y), 3)).astype(np.float32)
        activation = "softmax" if outputs > 1 else "sigmoid"
        arms = []
        for name in ("bottleneck", "frozen"):
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(outputs, activation=activation)])
            model.compile(optimizer="sgd", loss=loss)
            arms.append(make_arm(model, x, y, name=name))
        return trace_pair(*map(observe, arms))

    return measure


@pytest.fixture(scope="module")
def asked(tensorflow):
    """The same without a training step, which says all that the check needs and is quicker."""
    import keras

    from equivcheck.trace.labels import trace_labels

    def ask(loss, labels, outputs=4):
        activation = "softmax" if outputs > 1 else "sigmoid"
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(outputs, activation=activation)])
        model.compile(optimizer="sgd", loss=loss)
        return trace_labels(model, LABELS[labels], outputs=outputs, probes=None, predictions=None)

    return ask


def fit_for_each_other(trace):
    return trace.failure is None and all(index == best for index, best in trace.preferred.items())


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss not in SPARSE])
def test_one_hot_labels_fit_every_loss_that_compares_distributions(asked, loss):
    """No false alarm: each of these losses does teach a softmax head its class."""
    trace = asked(loss, "one_hot")
    assert trace.encoding == "one_hot"
    assert trace.preferred == {index: index for index in range(4)}, trace


@pytest.mark.parametrize("labels", ["sparse", "flat"])
def test_integers_fit_the_sparse_loss(asked, labels):
    trace = asked("sparse_categorical_crossentropy", labels)
    assert (trace.encoding, trace.dtype) == ("sparse", "int64")
    assert fit_for_each_other(trace)


@pytest.mark.parametrize("loss", BINARY)
def test_zeros_and_ones_fit_a_sigmoid_head(asked, loss):
    trace = asked(loss, "binary", outputs=1)
    assert (trace.encoding, trace.outputs) == ("binary", 1)
    assert trace.preferred == {0: 0, 1: 1}, trace


@pytest.mark.parametrize("loss", ["mean_squared_error", "mean_absolute_error", "huber", "log_cosh", "poisson"])
def test_integers_do_not_fit_a_loss_that_stretches_them(asked, loss):
    """Keras broadcasts them over the columns and says nothing."""
    trace = asked(loss, "sparse")
    assert trace.failure is None
    assert not fit_for_each_other(trace)


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        ("categorical_crossentropy", "sparse"),
        ("categorical_crossentropy", "flat"),
        ("sparse_categorical_crossentropy", "one_hot"),
        ("binary_crossentropy", "sparse"),
    ],
)
def test_a_pair_that_raises_is_a_failure_in_one_line(asked, loss, labels):
    trace = asked(loss, labels)
    assert not fit_for_each_other(trace)
    assert trace.failure
    assert "\n" not in trace.failure


def judged(evidence):
    from equivcheck.catalog import all_checks
    from equivcheck.examine import examine

    checks = [check for check in all_checks() if check.code in {"EQ301", "EQ302"}]
    return [(finding.code, finding.arm) for finding in examine(evidence, checks).findings]


def test_fit_pairs_are_not_reported_and_unfit_ones_are(traced):
    """Evidence to verdict, on one pair of each kind."""
    assert judged(traced("kl_divergence", "one_hot")) == []
    assert judged(traced("binary_crossentropy", "binary", outputs=1)) == []
    assert judged(traced("mean_squared_error", "sparse")) == [("EQ302", "bottleneck"), ("EQ302", "frozen")]


def test_a_pair_that_fit_refuses_is_reported_for_what_it_is(traced):
    """No exception: fit raises, the probe says why, and the check names both."""
    evidence = traced("categorical_crossentropy", "sparse")
    assert judged(evidence) == [("EQ302", "bottleneck"), ("EQ302", "frozen")]
    assert evidence.frozen.labels.failure


def test_both_arms_are_asked_about_the_same_predictions(traced):
    """So that two spellings of one label can be compared sample by sample."""
    evidence = traced("categorical_crossentropy", "one_hot")
    ours, theirs = evidence.bottleneck.labels.per_sample, evidence.frozen.labels.per_sample
    assert (ours is None) == (theirs is None) == (not evidence.matched)


def test_many_classes_are_asked_about_in_part(tensorflow):
    """The cost of asking grows with the square of the classes asked about."""
    import keras

    from equivcheck.trace.labels import MOST_CLASSES, trace_labels

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(100, activation="softmax")])
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    labels = np.eye(100, dtype=np.float32)
    trace = trace_labels(model, labels, outputs=100, probes=None, predictions=None)
    assert trace.preferred == {index: index for index in range(MOST_CLASSES)}


def test_the_loss_is_named_as_it_was_compiled(tensorflow):
    import keras

    from equivcheck.trace.labels import trace_labels

    named = {}
    for key, loss in {
        "text": "categorical_crossentropy",
        "function": keras.losses.categorical_crossentropy,
        "object": keras.losses.CategoricalCrossentropy(),
        "logits": keras.losses.CategoricalCrossentropy(from_logits=True),
    }.items():
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="softmax")])
        model.compile(optimizer="sgd", loss=loss)
        named[key] = trace_labels(model, LABELS["one_hot"], outputs=4, probes=None, predictions=None).loss
    assert {named[key] for key in ("text", "function", "object")} == {"categorical_crossentropy"}
    assert named["logits"] == "categorical_crossentropy(from_logits=True)"


def test_penalties_that_do_not_depend_on_the_label_are_left_out(tensorflow):
    """An L2 penalty in one arm is no other label encoding."""
    import keras

    from equivcheck.trace.labels import trace_labels

    losses = []
    predictions = np.full((4, 4), 0.25, np.float32)
    for penalty in (None, keras.regularizers.L2(10.0)):
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(4, activation="softmax", kernel_regularizer=penalty)]
        )
        model.compile(optimizer="sgd", loss="categorical_crossentropy")
        trace = trace_labels(model, LABELS["one_hot"], outputs=4, probes=LABELS["one_hot"][:4], predictions=predictions)
        losses.append(trace.per_sample)
    np.testing.assert_allclose(losses[0], np.log(4), rtol=1e-6)
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-5)


def test_integers_without_an_axis_of_their_own_do_not_fit_a_loss_over_columns(asked):
    """One sample is stretched over the outputs without a word; a batch of them makes fit raise."""
    unfit = asked("mean_squared_error", "flat")
    assert "Incompatible shapes" in unfit.failure or "must be broadcastable" in unfit.failure
    assert asked("sparse_categorical_crossentropy", "flat").failure is None
