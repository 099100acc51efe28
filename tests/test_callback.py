"""The guard: what it tells, and that the training goes on as if it were not there."""

from __future__ import annotations

import itertools
import logging
import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import equivcheck
from equivcheck import DivergenceError, DivergenceWarning, EquivalenceGuard
from equivcheck.errors import InputError, SpecError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

CLEAN = Path(__file__).parents[1] / "fixtures" / "clean" / "spec.yaml"

IMAGES = np.random.default_rng(0).random((24, 8, 8, 3), np.float32)
LABELS = np.arange(24) % 2


def backbone(*, dropout=0.0, trainable=False, seed=1):
    import keras

    keras.utils.set_random_seed(seed)
    base = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.GlobalAveragePooling2D(name="pool"),
            *([keras.layers.Dropout(dropout, name="dropout")] if dropout else []),
        ],
        name="base",
    )
    base.trainable = trainable
    return base


def end_to_end(base):
    import keras

    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((8, 8, 3)), base, keras.layers.Dense(2, activation="softmax", name="head")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model, guard, **more):
    return model.fit(IMAGES, LABELS, batch_size=8, verbose=0, **{"epochs": 1, "callbacks": [guard], **more})


def test_a_frozen_backbone_that_agrees_trains_in_peace():
    base = backbone()
    guard = EquivalenceGuard(base, IMAGES)
    fit(end_to_end(base), guard, epochs=2)
    assert guard.findings == ()


def flat(base):
    import keras

    return keras.Model(base.inputs, keras.layers.Dense(2, activation="softmax")(base.outputs[0]))


def nested_with_dropout_in_the_head(base):
    import keras

    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Dropout(0.5)(base(inputs))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


def in_inference_mode(base):
    """The repair of an active dropout."""
    import keras

    class InferenceMode(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.network = base

        def call(self, x):
            return self.network(x, training=False)

    return keras.Sequential([keras.Input((8, 8, 3)), InferenceMode(), keras.layers.Dense(2, activation="softmax")])


def from_a_subclass(base):
    import keras

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.base, self.head = base, keras.layers.Dense(2, activation="softmax")

        def call(self, x, training=None):
            return self.head(self.base(x, training=training))

    return Net()


def cut_below_the_pooling(base):
    """The backbone ends one layer earlier; the pooling is the model's own."""
    import keras

    x = keras.layers.GlobalAveragePooling2D()(base.get_layer("bn").output)
    return keras.Model(base.inputs, keras.layers.Dense(2, activation="softmax")(x))


@pytest.mark.parametrize(
    ("make", "dropout"),
    [
        (flat, 0.0),
        (nested_with_dropout_in_the_head, 0.0),
        (from_a_subclass, 0.0),
        (cut_below_the_pooling, 0.0),
        (in_inference_mode, 0.5),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_other_ways_to_write_the_same_model_train_in_peace(make, dropout, own):
    """Also where the reference is the very object that the model holds."""
    base = backbone(dropout=dropout)
    model = make(base)
    model.compile("adam", "sparse_categorical_crossentropy")
    guard = EquivalenceGuard(base if own else backbone(dropout=dropout), IMAGES)
    fit(model, guard, epochs=2)
    assert guard.findings == ()


def test_dropout_in_the_backbone_ends_the_training_before_it_begins():
    base = backbone(dropout=0.5)
    model = end_to_end(base)
    before = [np.array(weight) for weight in model.weights]
    guard = EquivalenceGuard(base, IMAGES)
    with pytest.raises(
        DivergenceError, match=r"does not train as the model base says\nEQ401 Dropout is active"
    ) as told:
        fit(model, guard)
    assert [finding.code for finding in guard.findings] == ["EQ401"]
    assert "Repair: " in str(told.value)
    assert len(str(told.value).splitlines()) == 2
    assert told.value.exit_code == 1
    assert all(np.array_equal(one, other) for one, other in zip(before, model.weights, strict=True))


def test_a_backbone_that_a_batch_moves_is_told_after_that_batch():
    """The reference is another object, so that it stays as it is."""
    guard = EquivalenceGuard(backbone(), IMAGES, on_divergence="log")
    fit(end_to_end(backbone(trainable=True)), guard)
    assert {"EQ402", "EQ501"} <= {finding.code for finding in guard.findings}


def test_another_network_is_told_with_the_layer_where_it_parts():
    guard = EquivalenceGuard(backbone(seed=1), IMAGES)
    with pytest.raises(DivergenceError, match="as predict runs them, they first part at base/conv"):
        fit(end_to_end(backbone(seed=2)), guard)


def test_what_is_ignored_does_not_count_and_is_still_known():
    base = backbone(dropout=0.5)
    guard = EquivalenceGuard(base, IMAGES, ignore="EQ401")
    fit(end_to_end(base), guard)
    assert [finding.code for finding in guard.findings] == ["EQ401"]


def test_it_can_warn_or_log_instead(caplog):
    base = backbone(dropout=0.5)
    model = end_to_end(base)
    with pytest.warns(DivergenceWarning, match="EQ401"):
        fit(model, EquivalenceGuard(base, IMAGES, on_divergence="warn"))
    with caplog.at_level(logging.WARNING, "equivcheck"):
        fit(model, EquivalenceGuard(base, IMAGES, on_divergence="log"))
    assert ["EQ401" in record.getMessage() for record in caplog.records if record.name == "equivcheck"] == [True]


def test_two_whole_models_are_compared_in_both_modes():
    import keras

    model = end_to_end(backbone())
    same = keras.models.clone_model(model)
    same.set_weights(model.get_weights())
    fit(model, EquivalenceGuard(same, IMAGES))
    with pytest.raises(DivergenceError, match="As predict runs them: The models part at head"):
        fit(model, EquivalenceGuard(same, IMAGES))  # trained one epoch further


@pytest.fixture(scope="module")
def clean():
    """Both arms of the clean spec, as their own code would hold them."""
    from equivcheck.arms.build import Builder
    from equivcheck.spec import load, resolve

    return lambda **patch: Builder(resolve(load(CLEAN).patched({"training.epochs": 1, **patch}))).build("frozen")


def fit_arm(arm, guard):
    arm.model.fit(arm.train.feed.x[:16], arm.train.feed.y[:16], batch_size=8, verbose=0, callbacks=[guard])


def test_a_spec_is_a_reference(clean):
    guard = EquivalenceGuard(CLEAN)
    fit_arm(clean(), guard)
    assert guard.findings == ()


@pytest.mark.parametrize(
    ("patch", "code"),
    [({"frozen.backbone.cut": "flatten"}, "EQ401"), ({"frozen.keras_semantics": "2.1"}, "EQ402")],
)
def test_a_model_that_departs_from_its_spec_is_told(clean, patch, code):
    guard = EquivalenceGuard(str(CLEAN))
    with pytest.raises(DivergenceError, match=code):
        fit_arm(clean(**patch), guard)
    assert code in {finding.code for finding in guard.findings}


# --- undisturbed ---


def sequential():
    """Not built before fit, and full of draws."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomFlip(),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.GaussianNoise(0.1),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dropout(0.3),
            layers.Dense(2, activation="softmax"),
        ]
    )


def subclassed():
    import keras

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.base = keras.Sequential(
                [keras.layers.Conv2D(4, 3, name="conv"), keras.layers.GlobalAveragePooling2D(name="pool")]
            )
            self.drop = keras.layers.Dropout(0.4)
            self.head = keras.layers.Dense(2, activation="softmax")

        def call(self, x, training=None):
            return self.head(self.drop(self.base(x, training=training), training=training))

    return Net()


def whole():
    return end_to_end(backbone(dropout=0.2))


def arrays():
    return IMAGES, LABELS


def dataset():
    import tensorflow as tf

    return (tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).shuffle(24).batch(8),)


class Pulls:
    """A generator that draws from NumPy's and Python's generators, and counts how often it is asked."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        """Batches without end."""
        while True:
            self.count += 1
            chosen = np.random.permutation(24)[:8]  # noqa: NPY002  (as users do)
            yield IMAGES[chosen] * np.float32(random.random()), LABELS[chosen]  # noqa: S311


def trained(make, data, *callbacks):
    """Everything that a training leaves behind."""
    import keras
    import tensorflow as tf

    keras.backend.clear_session()
    keras.utils.set_random_seed(5)
    model = make()
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    pulls = Pulls()
    feed = (pulls(),) if data is None else data()
    steps = {"steps_per_epoch": 3} if data is None else {}
    steps |= {"batch_size": 8} if len(feed) == 2 else {"shuffle": False}  # which Keras warns to ignore
    history = model.fit(*feed, epochs=3, verbose=0, callbacks=list(callbacks), **steps)
    assert model.history is history
    return (
        history.history,
        [np.array(variable) for variable in (*model.variables, *model.optimizer.variables)],
        pulls.count,
        (random.random(), np.random.random(), float(tf.random.uniform(())), float(keras.random.uniform(()))),  # noqa: NPY002, S311
    )


@cache
def unguarded(make, data):
    return trained(make, data)


@pytest.mark.parametrize(
    ("reference", "make", "data"),
    [
        *itertools.product(["backbone"], [sequential, subclassed, whole], [arrays, dataset, None]),
        ("whole", sequential, dataset),
        ("whole", subclassed, None),
        ("spec", sequential, None),
        ("spec", whole, dataset),
        ("code", sequential, dataset),
        ("code", subclassed, None),
    ],
)
def test_a_guarded_training_equals_an_unguarded_one_to_the_last_bit(reference, make, data, tmp_path):
    """History, every variable, how often the data was asked, and what each generator draws next."""
    alone = unguarded(make, data)
    if reference == "spec":
        np.savez(tmp_path / "data.npz", x=255 * IMAGES, y=LABELS)
        backbone().save(tmp_path / "base.keras")
        (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
        guard = EquivalenceGuard(tmp_path / "spec.yaml", on_divergence="log")
    elif reference == "code":
        (tmp_path / "guarded_arm.py").write_text(CODE, encoding="utf-8")
        (tmp_path / "spec.yaml").write_text(OF_CODE, encoding="utf-8")
        guard = EquivalenceGuard(tmp_path / "spec.yaml", on_divergence="log")
    else:
        guard = EquivalenceGuard(backbone() if reference == "backbone" else whole(), IMAGES, on_divergence="log")
    guarded = trained(make, data, guard)
    assert guarded[0] == alone[0]
    assert all(np.array_equal(one, other) for one, other in zip(guarded[1], alone[1], strict=True))
    assert guarded[2:] == alone[2:]


SPEC = """\
version: 1
data: {train: {npz: data.npz}, validation: {npz: data.npz}, image_size: [8, 8]}
backbone: {file: base.keras, cut: pool}
head: [{dense: {units: 2, activation: softmax}}]
preprocessing: {rescale: 0.00392156862745098}
labels: sparse
training: {optimizer: {name: sgd}, loss: sparse_categorical_crossentropy, epochs: 1, batch_size: 8}
"""

OF_CODE = """\
version: 1
bottleneck: {callable: "guarded_arm:bottleneck"}
frozen: {callable: "guarded_arm:bottleneck"}
"""

#: Sets every seed, as a script would.
CODE = """\
from types import SimpleNamespace

import keras
import numpy as np


def bottleneck():
    keras.utils.set_random_seed(7)
    images = np.random.random((24, 8, 8, 3)).astype("float32")
    layers = keras.layers
    base = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()])
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    features = base.predict(images, verbose=0)
    data = features, np.arange(24) % 2
    return SimpleNamespace(model=model, train=data, validation=None, fit={}, backbone=base, images=images)
"""


# --- bad input ---


@pytest.mark.parametrize(
    ("arguments", "more", "told"),
    [
        (
            ["spec.yaml"],
            {"on_divergence": "shout"},
            'on_divergence: expected "raise", "warn" or "log", found \'shout\'',
        ),
        ([CLEAN], {"ignore": ["EQ401", "E9"]}, "ignore: no check has a code that starts with 'E9'"),
        ([3], {}, "reference: expected a spec's path or a Keras model, found int"),
        ([CLEAN, IMAGES], {}, "samples: go with a model"),
        (["none.yaml"], {}, "none.yaml: no such file"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused_at_once(arguments, more, told):
    with pytest.raises(InputError, match=told):
        EquivalenceGuard(*arguments, **more)


def test_a_model_needs_samples():
    with pytest.raises(InputError, match="samples: are needed with a model"):
        EquivalenceGuard(backbone())


def test_a_wrong_spec_is_told_before_the_training(tmp_path):
    (tmp_path / "spec.yaml").write_text("version: 1\nlabels: onehot\n", encoding="utf-8")
    with pytest.raises(SpecError, match="did you mean"):
        EquivalenceGuard(tmp_path / "spec.yaml")


@pytest.mark.parametrize("samples", [3, [], np.array([None])])
def test_samples_that_are_no_array_of_inputs_are_refused(samples):
    with pytest.raises(InputError, match="samples: expected an array of inputs"):
        fit(end_to_end(backbone()), EquivalenceGuard(backbone(), samples))


def test_a_head_on_stored_features_cannot_be_guarded():
    import keras

    head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    head.compile("adam", "mse")
    with pytest.raises(InputError, match=r"takes \(4,\), and the model base gives images of shape \(8, 8, 3\)"):
        head.fit(np.zeros((8, 4)), np.zeros((8, 2)), verbose=0, callbacks=[EquivalenceGuard(backbone(), IMAGES)])


def test_an_arm_from_code_without_a_backbone_is_no_reference(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from types import SimpleNamespace\nimport keras, numpy as np\n"
        "def arm():\n"
        "    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])\n"
        "    model.compile('adam', 'mse')\n"
        "    data = np.zeros((8, 4)), np.zeros((8, 2))\n"
        "    return SimpleNamespace(model=model, train=data, validation=None, fit={})\n",
        encoding="utf-8",
    )
    (tmp_path / "spec.yaml").write_text(
        'version: 1\nbottleneck: {callable: "mine:arm"}\nfrozen: {callable: "mine:arm"}\n', encoding="utf-8"
    )
    with pytest.raises(equivcheck.InconclusiveError, match="mine:arm gives no backbone"):
        fit(end_to_end(backbone()), EquivalenceGuard(tmp_path / "spec.yaml"))
