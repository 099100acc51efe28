"""Checks of labels, metrics and training on arms from the user's own code, where nothing is declared."""

from __future__ import annotations

import pytest

from equivcheck.spec import load

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

CODE = """
from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(20, 8, 8, 3)).astype("float32")
LABELS = RANDOM.permutation(20)[:, None] % 3
ONE_HOT = np.eye(3, dtype="float32")[LABELS[:, 0]]
WEIGHTS = np.where(LABELS[:, 0] == 1, 3.0, 1.0)


def backbone():
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(6, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    base = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="base")
    base.trainable = False
    return base


def dense(activation=None, **more):
    # The same weights wherever it is made.
    start = keras.initializers.GlorotUniform(seed=7)
    return keras.layers.Dense(3, activation=activation, kernel_initializer=start, **more)


def arm(x, before, optimizer=None, loss=None, head=None, y=LABELS, fit=(), validation=None, metric="accuracy", **more):
    keras.utils.set_random_seed(7)
    head = head or [dense("softmax")]
    model = keras.Sequential([*before, *head])
    model.compile(optimizer or keras.optimizers.Adam(0.01), loss or "sparse_categorical_crossentropy", metrics=[metric])
    train = x if isinstance(x, tf.data.Dataset) else (x, y)
    if isinstance(more.get("weights"), np.ndarray):
        train = (*train, more.pop("weights"))
    fit = {"epochs": 6, **({} if isinstance(x, tf.data.Dataset) else {"batch_size": 8}), **dict(fit)}
    return SimpleNamespace(model=model, train=train, validation=validation, fit=fit, **more)


def bottleneck(**more):
    base = backbone()
    features = base.predict(IMAGES, batch_size=8, verbose=0)
    return arm(features, [keras.Input((6,))], backbone=base, images=IMAGES, **more)


def frozen(**more):
    return arm(IMAGES, [keras.Input((8, 8, 3)), backbone()], **more)


def resized(batch):
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(batch)
    return arm(data, [keras.Input((8, 8, 3)), backbone()])


class StopAt(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if logs["accuracy"] > 0.7:
            self.model.stop_training = True


class Halve(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.learning_rate.assign(0.01 * 0.5**epoch)


class Wrapped(keras.layers.Layer):
    # Hides from Keras that the outputs are a softmax's.
    def call(self, inputs):
        return keras.ops.softmax(inputs) * 1.0


class Counting(keras.layers.Conv2D):
    def call(self, inputs):
        self.add_loss(0.5 * keras.ops.sum(keras.ops.square(self.kernel)))
        return super().call(inputs)


def counting():
    keras.utils.set_random_seed(1)
    layers = [Counting(6, 3, activation="relu"), keras.layers.GlobalAveragePooling2D()]
    base = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="base")
    base.trainable = False
    return arm(IMAGES, [keras.Input((8, 8, 3)), base])


def used():
    made = frozen()
    first = made.model.get_weights()
    made.model.fit(IMAGES, LABELS, verbose=0)
    made.model.set_weights(first)
    return made


LOSSES = keras.losses
LOGITS = LOSSES.SparseCategoricalCrossentropy(from_logits=True)
CROSSENTROPY = LOSSES.CategoricalCrossentropy()
"""

#: The frozen arm's expression, and beside it the bottleneck arm's where that is not the plain one.
FAULTS = {
    "logits for probabilities": ("frozen(head=[dense()])", "EQ304"),
    "probabilities for logits": ("frozen(head=[dense(), Wrapped()], loss=LOGITS)", "EQ304"),
    "another accuracy": ("frozen(y=ONE_HOT, loss=CROSSENTROPY, metric='binary_accuracy')", "EQ305"),
    "validation numbered by itself": ("frozen(validation=(IMAGES, (LABELS + 1) % 3))", "EQ306"),
    "class weights": ("frozen(fit={'class_weight': {0: 1.0, 1: 5.0}})", "EQ307"),
    "sample weights": ("frozen(weights=WEIGHTS)", "EQ307"),
    "another optimizer": ("frozen(optimizer=keras.optimizers.SGD(0.01))", "EQ601"),
    "another learning rate": ("frozen(optimizer=keras.optimizers.Adam(0.1))", "EQ602"),
    "a callback that changes the rate": ("frozen(fit={'callbacks': [Halve()]})", "EQ602"),
    "a scheduler": (
        "frozen(fit={'callbacks': [keras.callbacks.LearningRateScheduler(lambda e, r: r * 0.5 if e > 3 else r)]})",
        "EQ602",
    ),
    "a rate that falls on a plateau": (
        "frozen(fit={'callbacks': [keras.callbacks.ReduceLROnPlateau(monitor='loss', patience=1)]})",
        "EQ602",
    ),
    "smoothed labels": (
        "frozen(y=ONE_HOT, loss=LOSSES.CategoricalCrossentropy(label_smoothing=0.1))",
        "EQ603",
        "bottleneck(y=ONE_HOT, loss=CROSSENTROPY)",
    ),
    "a sum over the batch": ("frozen(loss=LOSSES.SparseCategoricalCrossentropy(reduction='sum'))", "EQ603"),
    "another batch size": ("resized(4)", "EQ604", "bottleneck(fit={'shuffle': False})"),
    "fewer epochs": ("frozen(fit={'epochs': 3})", "EQ605"),
    "an epoch to go on from": ("frozen(fit={'initial_epoch': 2})", "EQ605"),
    "early stopping": (
        "frozen(fit={'callbacks': [keras.callbacks.EarlyStopping(monitor='loss', patience=2)]})",
        "EQ605",
    ),
    "a callback that stops": ("frozen(fit={'callbacks': [StopAt()]})", "EQ605"),
    "clipping": ("frozen(optimizer=keras.optimizers.Adam(0.01, global_clipnorm=0.001))", "EQ606"),
    "the penalty of a frozen layer": ("counting()", "EQ607"),
    "an optimizer that was used": ("used()", "EQ608"),
}

#: Both arms' expressions, and the code that clears the difference, if any.
CLEAN = {
    "plain": ("frozen()", "bottleneck()", None),
    "a softmax that Keras knows of": ("frozen(loss=LOGITS)", "bottleneck()", "EQ304"),
    "the same weights, said otherwise": (
        "frozen(weights=WEIGHTS)",
        "bottleneck(fit={'class_weight': {1: 3.0}})",
        None,
    ),
    "sparse beside one-hot": ("frozen(y=ONE_HOT, loss='categorical_crossentropy')", "bottleneck()", "EQ301"),
    "patience beyond the end": (
        "frozen(fit={'callbacks': [keras.callbacks.EarlyStopping(monitor='loss', patience=50)]})",
        "bottleneck()",
        "EQ605",
    ),
    "the same callbacks": (
        "frozen(fit={'callbacks': [Halve(), StopAt()]})",
        "bottleneck(fit={'callbacks': [Halve(), StopAt()]})",
        None,
    ),
    "a limit that nothing reaches": (
        "frozen(optimizer=keras.optimizers.Adam(0.01, clipnorm=1000.0))",
        "bottleneck()",
        "EQ606",
    ),
    "a head of logits in both": (
        "frozen(head=[dense()], loss=LOGITS)",
        "bottleneck(head=[dense()], loss=LOGITS)",
        None,
    ),
    "a layer behind the softmax": (
        "frozen(head=[dense(activation='softmax'), keras.layers.Reshape((3,))])",
        "bottleneck()",
        None,
    ),
    "a dataset with the same batches": ("resized(8)", "bottleneck(fit={'shuffle': False})", None),
}


@pytest.fixture
def run(tmp_path, code_spec):
    """Runs two arms that are given as expressions."""
    from equivcheck.pipeline import run_document

    def running(frozen, bottleneck="bottleneck()", *, curves=False):
        spec = code_spec("training_code", CODE, bottleneck, frozen)
        report = run_document(load(spec), cache_dir=tmp_path, curves=curves)
        assert not [skipped for skipped in report.skipped if "failed" in skipped.reason]
        return report

    return running


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_named(run, kind):
    frozen, code, *bottleneck = FAULTS[kind]
    report = run(frozen, *bottleneck)
    (finding,) = [finding for finding in report.findings if finding.severity == "error"]
    assert finding.code == code
    assert finding.repair.patch is None
    assert finding.verified is not False
    assert finding.repair.text


@pytest.mark.parametrize("kind", CLEAN)
def test_what_looks_like_a_fault_is_none(run, kind):
    frozen, bottleneck, code = CLEAN[kind]
    report = run(frozen, bottleneck)
    assert report.findings == ()
    assert {cleared.code for cleared in report.cleared} >= ({code} - {None})


def test_a_defect_of_both_arms_is_a_warning(run):
    report = run("frozen(head=[dense()])", "bottleneck(head=[dense()])")
    (finding,) = report.findings
    assert (finding.code, finding.severity, finding.arm) == ("EQ304", "warning", "both")


def test_three_causes_in_the_optimizer_are_three_findings(run):
    report = run("frozen(optimizer=keras.optimizers.Adam(0.1, beta_1=0.5, clipnorm=0.001))")
    assert {finding.code for finding in report.findings} == {"EQ601", "EQ602", "EQ606"}
