"""Hundreds 4, 5 and 7 on arms from the user's own code: nothing is declared, the behaviour is measured."""

from __future__ import annotations

import itertools

import pytest

from equivcheck.spec import load

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

_NUMBERS = itertools.count()

CODE = '''
from types import SimpleNamespace

import keras
import numpy as np

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(20, 8, 8, 3)).astype("float32")
LABELS = RANDOM.permutation(20)[:, None] % 3
BN = keras.layers.BatchNormalization


class OldBatchNormalization(BN):
    """As before Keras 2.4: the flag does not choose the statistics."""

    def call(self, inputs, training=None, mask=None):
        if not training:
            return super().call(inputs, training=False)
        mean, variance = keras.ops.moments(inputs, axes=[0, 1, 2])
        return keras.ops.batch_normalization(inputs, mean, variance, -1, self.beta, self.gamma, self.epsilon)


def backbone(norm=BN, pool=keras.layers.GlobalAveragePooling2D, seed=1, extra=()):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Conv2D(6, 3, activation="relu"), norm(), pool(), *[make() for make in extra]]
    base = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="base")
    base.trainable = False
    return base


def arm(x, layers, head=None, optimizer="adam", **more):
    keras.utils.set_random_seed(7)
    model = keras.Sequential([*layers, *(head or softmax)()])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return SimpleNamespace(model=model, train=(x, LABELS), validation=None, fit={"epochs": 1, "batch_size": 8}, **more)


def softmax():
    return [keras.layers.Dense(3, "softmax")]


def bottleneck(base=None, dtype="float32"):
    base = base or backbone()
    features = base.predict(IMAGES, batch_size=8, verbose=0).astype(dtype)
    return arm(features, [keras.Input(features.shape[1:])], backbone=base, images=IMAGES)


def stored_in_half():
    return bottleneck(dtype="float16")


def frozen(base=None, **more):
    return arm(IMAGES, [keras.Input((8, 8, 3)), base or backbone()], **more)


def old_normalisation():
    return frozen(backbone(OldBatchNormalization))


def other_weights():
    return frozen(backbone(seed=2))


def other_pooling():
    return frozen(backbone(pool=keras.layers.GlobalMaxPooling2D))


def one_layer_more():
    return frozen(backbone(extra=[lambda: keras.layers.Dense(6, "relu")]))


def noise():
    return frozen(backbone(extra=[lambda: keras.layers.GaussianNoise(0.5)]))


def other_head():
    return frozen(head=lambda: [keras.layers.Dense(3, "sigmoid")])


def same_head_in_two_layers():
    return frozen(head=lambda: [keras.layers.Dense(3), keras.layers.Activation("softmax")])


def other_start():
    made = frozen()
    made.model.layers[-1].kernel.assign(2 * made.model.layers[-1].kernel)
    return made


def all_frozen():
    made = frozen()
    made.model.trainable = False
    return made


def standing():
    return frozen(optimizer=keras.optimizers.SGD(0.0))


def unseeded():
    made = frozen()
    made.model.layers[-1].kernel.assign(np.random.default_rng().normal(size=(6, 3)))
    return made


def unfrozen_too_late():
    base = backbone()
    made = frozen(base)
    weights = made.model.get_weights()
    made.model.fit(IMAGES, LABELS, verbose=0)
    made.model.set_weights(weights)
    base.trainable = True
    return made


BASE = backbone()


def on_one_base():
    return bottleneck(BASE)


def over_one_base():
    return frozen(BASE)
'''


@pytest.fixture(scope="module")
def run(tensorflow, tmp_path_factory):
    from equivcheck.pipeline import run_document

    folder = tmp_path_factory.mktemp("weights")

    def running(bottleneck, frozen):
        module = f"weights_{next(_NUMBERS)}"
        (folder / f"{module}.py").write_text(CODE, encoding="utf-8")
        spec = folder / f"{module}.yaml"
        spec.write_text(
            f'version: 1\nbottleneck: {{callable: "{module}:{bottleneck}"}}\n'
            f'frozen: {{callable: "{module}:{frozen}"}}\n',
            encoding="utf-8",
        )
        return run_document(load(spec), cache_dir=folder, curves=False)

    return running


def errors(report):
    assert not [skipped for skipped in report.skipped if "failed" in skipped.reason]
    return {finding.code for finding in report.findings if finding.severity == "error"}


@pytest.mark.parametrize(
    ("frozen", "code"),
    [
        ("old_normalisation", "EQ402"),
        ("noise", "EQ404"),
        ("all_frozen", "EQ504"),
        ("standing", "EQ504"),
        ("other_start", "EQ505"),
        ("other_head", "EQ506"),
        ("other_weights", "EQ507"),
        ("other_pooling", "EQ508"),
        ("one_layer_more", "EQ508"),
    ],
)
def test_a_fault_in_code_has_one_name(run, frozen, code):
    assert errors(run("bottleneck", frozen)) == {code}


@pytest.mark.parametrize(
    ("bottleneck", "frozen", "code"),
    [
        ("bottleneck", "same_head_in_two_layers", "EQ506"),
        ("on_one_base", "over_one_base", "EQ509"),
        ("stored_in_half", "frozen", "EQ704"),
    ],
)
def test_what_does_no_harm_is_cleared(run, bottleneck, frozen, code):
    report = run(bottleneck, frozen)
    assert report.findings == ()
    assert code in {cleared.code for cleared in report.cleared}


def test_unfrozen_too_late_trains_as_before(run):
    """The features stay as they are, so that is warned of; the optimizer's state from the first fit is a cause."""
    report = run("bottleneck", "unfrozen_too_late")
    found = [(finding.code, finding.severity) for finding in report.findings]
    assert found == [("EQ608", "error"), ("EQ503", "warning")]


def test_an_arm_that_is_another_on_each_run_is_inconclusive(run):
    report = run("bottleneck", "unseeded")
    assert errors(report) == {"EQ705"}
    assert report.verdict == "inconclusive"
