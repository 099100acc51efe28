"""The two arms of an experiment, each built as its user would."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cached_property
from types import ModuleType

import numpy as np
import pytest

from equivcheck.errors import SpecError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

BACKBONE = "  file: base.keras\n  cut: flatten"


@pytest.fixture(scope="session")
def network(tensorflow):
    """A small network with BatchNormalization, and dropout behind the cut."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = outputs = keras.Input((8, 8, 3), name="image")
    for layer in (
        keras.layers.Conv2D(4, 3, strides=2, name="conv"),
        keras.layers.BatchNormalization(name="bn"),
        keras.layers.Flatten(name="flatten"),
        keras.layers.Dropout(0.5, name="dropout"),
        keras.layers.Dense(3, name="predictions"),
    ):
        outputs = layer(outputs)
    return keras.Model(inputs, outputs, name="base")


@pytest.fixture
def builder(experiment, network, tmp_path):
    from equivcheck.arms.build import Builder

    def of(arms="", backbone=BACKBONE):
        network.save(tmp_path / "base.keras")
        return Builder(experiment(backbone, arms))

    return of


class Pair:
    """Both arms, each built when it is asked for."""

    def __init__(self, builder):
        self.builder = builder

    @cached_property
    def bottleneck(self):
        """Head on stored features."""
        return self.builder.build("bottleneck")

    @cached_property
    def frozen(self):
        """Backbone and head in one model."""
        return self.builder.build("frozen")


@pytest.fixture
def pair(builder):
    return lambda arms="", backbone=BACKBONE: Pair(builder(arms, backbone))


def names(variables):
    return [variable.path for variable in variables]


def head_of(arm):
    return {layer.name: layer.get_weights() for layer in arm.model.layers if layer.name.startswith("head_")}


# --- a clean pair ---


def test_both_arms_of_a_clean_spec(pair, network, images):
    made = pair()
    assert made.bottleneck.train.feed.x.shape == (5, 36)
    assert made.frozen.train.feed.x.shape == (5, 8, 8, 3)
    np.testing.assert_array_equal(made.bottleneck.train.images, made.frozen.train.feed.x)
    np.testing.assert_array_equal(made.bottleneck.train.feed.y, made.frozen.train.feed.y)
    assert made.bottleneck.train.samples.ids == ("cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png", "dog/2.png")
    assert made.bottleneck.train.feed.y.tolist() == [[0], [0], [0], [1], [1]]
    assert dict(made.frozen.fit) == {"epochs": 2, "batch_size": 4, "shuffle": True}
    assert made.frozen.extractor is None
    assert [len(arm.network) for arm in (made.bottleneck, made.frozen)] == [2, 1]


def test_the_features_are_what_the_backbone_gives_in_inference_mode(pair):
    made = pair()
    expected = made.bottleneck.extractor(made.bottleneck.train.images, training=False)
    np.testing.assert_allclose(made.bottleneck.train.feed.x, expected, rtol=1e-5, atol=1e-5)


def test_features_that_were_extracted_here_need_not_be_extracted_again(pair, tmp_path):
    """Stored ones do, where they are given; each split by itself."""
    made = pair().bottleneck
    assert (made.train.extracted, made.validation.extracted) == (True, True)
    np.save(tmp_path / "train.npy", made.train.feed.x)
    made = pair("bottleneck: {features: {train: train.npy}}\n").bottleneck
    assert (made.train.extracted, made.validation.extracted) == (False, True)


def test_the_heads_start_equal(pair):
    made = pair()
    left, right = head_of(made.bottleneck), head_of(made.frozen)
    assert list(left) == list(right) == ["head_dropout", "head_dense"]
    for ours, theirs in zip(left["head_dense"], right["head_dense"], strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("call", ["nested", "flat", "training_false", "inference"])
def test_the_heads_start_equal_however_the_backbone_is_called(pair, call):
    made = pair(f"frozen: {{backbone: {{call: {call}}}}}\n")
    for ours, theirs in zip(head_of(made.bottleneck)["head_dense"], head_of(made.frozen)["head_dense"], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_arms_share_no_variable(pair):
    made = pair()
    heads = (made.bottleneck.model, made.frozen.model)
    parts = (*heads, made.bottleneck.extractor, *(model.optimizer for model in heads))
    variables = [id(variable) for part in parts for variable in part.variables]
    assert len(set(variables)) == len(variables)


def test_an_arm_that_is_built_again_is_a_new_one(builder):
    made = builder()
    one, other = made.build("frozen"), made.build("frozen")
    assert not {id(variable) for variable in one.model.variables} & {id(variable) for variable in other.model.variables}
    assert names(one.model.weights) == names(other.model.weights)
    for ours, theirs in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("call", ["nested", "flat", "inference"])
def test_the_two_compute_the_same(pair, call):
    made = pair(f"frozen: {{backbone: {{call: {call}}}}}\n")
    images = made.frozen.train.feed.x
    np.testing.assert_allclose(
        made.frozen.model(images), made.bottleneck.model(made.bottleneck.extractor(images)), rtol=1e-5
    )


# --- frozen ---


@pytest.mark.parametrize("call", ["nested", "flat", "training_false", "inference"])
@pytest.mark.parametrize("freeze", ["true", "false"])
def test_the_backbone_is_frozen_or_not(pair, call, freeze):
    frozen = pair(f"frozen: {{backbone: {{call: {call}, freeze: {freeze}}}}}\n").frozen
    head, backbone = ["kernel", "bias"], ["kernel", "bias", "gamma", "beta"]
    trained = [variable.name for variable in frozen.model.trainable_variables]
    assert trained == (head if freeze == "true" else backbone + head)


@pytest.mark.parametrize(
    ("call", "layers", "trained"),
    [
        # Flat: input, conv, bn, flatten, dropout, dense.
        ("flat", ":-2", ["head_dense/kernel", "head_dense/bias"]),
        ("flat", ":2", ["bn/gamma", "bn/beta", "head_dense/kernel", "head_dense/bias"]),
        ("flat", "2:3", ["conv/kernel", "conv/bias", "head_dense/kernel", "head_dense/bias"]),
        ("flat", ":", []),
        ("flat", "-1:", ["conv/kernel", "conv/bias", "bn/gamma", "bn/beta"]),
        # Nested: input, base, dropout, dense; the slice of a flat model freezes the input layer and nothing else.
        ("nested", ":1", ["conv/kernel", "conv/bias", "bn/gamma", "bn/beta", "head_dense/kernel", "head_dense/bias"]),
        ("nested", ":-2", ["head_dense/kernel", "head_dense/bias"]),
        ("nested", "1:2", ["head_dense/kernel", "head_dense/bias"]),
    ],
)
def test_slices_of_the_models_layers(pair, call, layers, trained):
    frozen = pair(f"frozen: {{backbone: {{call: {call}, freeze: {{layers: '{layers}'}}}}}}\n").frozen
    assert [path.removeprefix("base/") for path in names(frozen.model.trainable_variables)] == trained


@pytest.mark.parametrize(
    ("call", "layers"),
    [
        ("nested", ["base", "head_dropout", "head_dense"]),
        ("training_false", ["base", "head_dropout", "head_dense"]),
        ("inference", ["inference_mode", "head_dropout", "head_dense"]),
        ("flat", ["conv", "bn", "flatten", "head_dropout", "head_dense"]),
    ],
)
def test_how_the_backbone_is_called(pair, call, layers):
    frozen = pair(f"frozen: {{backbone: {{call: {call}}}}}\n").frozen
    assert [layer.name for layer in frozen.model.layers[1:]] == layers


def test_old_semantics_are_one_arms_own(pair):
    made = pair("frozen: {keras_semantics: '2.1'}\n")
    backbones = made.bottleneck.extractor, made.frozen.model.layers[1]
    assert [type(backbone.get_layer("bn")).__name__ for backbone in backbones] == [
        "BatchNormalization",
        "LegacyBatchNormalization",
    ]


# --- data ---


def test_the_tail_can_be_dropped(pair):
    made = pair("frozen: {training: {drop_remainder: true}}\n")
    assert len(made.bottleneck.train.feed.x) == 5
    assert (len(made.frozen.train.feed.x), len(made.frozen.train.feed.y)) == (4, 4)
    assert len(made.frozen.validation.feed.x) == 5


def test_the_tail_of_the_features_as_well(pair):
    bottleneck = pair("bottleneck: {training: {drop_remainder: true}}\n").bottleneck
    assert (len(bottleneck.train.feed.x), len(bottleneck.train.feed.y), len(bottleneck.train.images)) == (4, 4, 4)


def test_dropping_must_leave_something(pair):
    with pytest.raises(SpecError, match=r"drop_remainder leaves nothing: 5 samples, batches of 6"):
        _ = pair("frozen: {training: {drop_remainder: true, batch_size: 6}}\n").frozen


@pytest.mark.parametrize(
    ("labels", "expected"), [("one_hot", [[1, 0]] * 3 + [[0, 1]] * 2), ("sparse", [[0]] * 3 + [[1]] * 2)]
)
def test_labels_are_encoded_per_arm(pair, labels, expected):
    loss = "categorical_crossentropy" if labels == "one_hot" else "sparse_categorical_crossentropy"
    made = pair(f"frozen: {{labels: {labels}, training: {{loss: {loss}}}}}\n")
    assert made.frozen.train.feed.y.tolist() == expected
    assert made.bottleneck.train.feed.y.tolist() == [[0]] * 3 + [[1]] * 2


def test_preprocessing_is_per_arm_and_does_not_touch_the_samples(pair):
    made = pair("frozen: {preprocessing: {rescale: 0.5}}\n")
    np.testing.assert_array_equal(made.frozen.train.feed.x, made.bottleneck.train.images * 0.5)
    np.testing.assert_array_equal(made.bottleneck.train.images, made.frozen.train.samples.pixels)


def test_both_splits_are_read_once_for_both_arms(pair):
    made = pair()
    assert made.bottleneck.train.samples is made.frozen.train.samples


def test_an_arm_with_another_image_size_reads_its_own(builder, network):
    import keras

    made = builder("frozen: {data: {classes: [dog, cat]}}\n")
    bottleneck, frozen = made.build("bottleneck"), made.build("frozen")
    assert bottleneck.train.samples.ids == frozen.train.samples.ids
    assert (bottleneck.train.samples.labels == 1 - frozen.train.samples.labels).all()
    assert isinstance(frozen.model, keras.Model)


AUGMENTED = "{0}: {{augmentation: [random_flip: {{mode: horizontal, seed: 1}}]}}\n"


def test_augmentation_of_the_frozen_arm_is_part_of_its_model(pair):
    made = pair(AUGMENTED.format("frozen"))
    layers = [layer.name for layer in made.frozen.model.layers]
    assert layers[1:3] == ["augmentation_random_flip", "base"]
    np.testing.assert_array_equal(made.frozen.train.feed.x, made.bottleneck.train.images)


def test_augmentation_of_the_bottleneck_arm_is_one_draw_for_ever(pair):
    """Some images are flipped, and the features are those of the flipped ones; validation stays."""
    bottleneck = pair(AUGMENTED.format("bottleneck")).bottleneck
    plain, fed = bottleneck.train.samples.pixels, bottleneck.train.images
    flipped = [not np.array_equal(a, b) for a, b in zip(plain, fed, strict=True)]
    assert any(flipped)
    for image, shown, turned in zip(plain, fed, flipped, strict=True):
        np.testing.assert_array_equal(image[:, ::-1] if turned else image, shown)
    np.testing.assert_allclose(bottleneck.train.feed.x, bottleneck.extractor(fed), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(bottleneck.validation.images, bottleneck.validation.samples.pixels)


def test_augmentation_needs_an_input_of_its_own(pair):
    with pytest.raises(SpecError, match=r"augmentation layers need an input in front of the backbone"):
        _ = pair("frozen: {backbone: {call: flat}, augmentation: [random_flip]}\n").frozen


# --- compile ---


def test_the_optimizer_and_its_arguments(pair):
    made = pair("frozen: {training: {optimizer: {name: adam, learning_rate: 0.25, beta_1: 0.5}}}\n")
    optimizer = made.frozen.model.optimizer
    assert (type(optimizer).__name__, float(optimizer.learning_rate), optimizer.beta_1) == ("Adam", 0.25, 0.5)
    assert type(made.bottleneck.model.optimizer).__name__ == "SGD"


def test_an_application_knows_how_it_was_trained(experiment, network):
    from equivcheck.arms.build import Builder

    spec = experiment("  application: VGG16")
    pixels = np.full((1, 8, 8, 3), 100.0)
    as_trained = Builder(spec)._as_trained(spec.frozen)
    np.testing.assert_allclose(as_trained(pixels)[0, 0, 0], 100 - np.array([103.939, 116.779, 123.68]), rtol=1e-6)
    untrained = experiment("  application: VGG16\n  weights: none")
    assert Builder(untrained)._as_trained(untrained.frozen) is None


def test_a_file_knows_only_what_the_spec_says(pair):
    assert pair().frozen.as_trained is None
    made = pair(backbone=BACKBONE + "\n  trained_with: {rescale: 0.5}")
    np.testing.assert_array_equal(made.frozen.as_trained(np.full((1, 8, 8, 3), 4.0)), np.full((1, 8, 8, 3), 2.0))


# --- what goes wrong is said with its place in the spec ---


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ("frozen: {backbone: {cut: flaten}}\n", "17:21: backbone.cut: no layer 'flaten' to cut at"),
        ("frozen: {head: [dense: {units: 3}]}\n", "17:10: head: the head has 3 outputs but the data has 2 classes"),
        ("frozen: {head: [dense: {units: -2}]}\n", "17:10: head: dense: Received an invalid value for `units`"),
        ("frozen: {data: {classes: [cat, cow]}}\n", "no folder for class 'cow'"),
        ("frozen: {data: {image_size: [9, 8]}}\n", "the backbone takes images of shape (8, 8, 3); data.image_size"),
        (
            "frozen: {training: {optimizer: {name: adam, bogus: 1}}}\n",
            "training.optimizer: Argument(s) not recognized: {'bogus': 1}",
        ),
        ("frozen: {training: {optimizer: {name: adam, learning_rate: abc}}}\n", "training.optimizer: "),
    ],
)
def test_the_place_in_the_spec_is_said(pair, arms, message):
    with pytest.raises(SpecError) as raised:
        _ = pair(arms).frozen
    assert message in str(raised.value)
    (problem,) = raised.value.problems
    assert problem.location.file.endswith("spec.yaml")
    assert problem.location.line is not None


def test_a_backbone_of_the_users_that_breaks_in_predict(builder, monkeypatch):
    import keras

    from equivcheck.errors import UserCodeError

    class Broken(keras.layers.Layer):
        def call(self, inputs):
            if inputs.shape[0] != 7:  # the shape of nothing: symbolic calls pass
                return keras.ops.reshape(inputs, (-1, 7 * 191))
            return inputs

    module = ModuleType("made_up_network")
    module.make = lambda: keras.Sequential([keras.Input((8, 8, 3)), Broken()])
    monkeypatch.setitem(sys.modules, "made_up_network", module)
    with pytest.raises(UserCodeError, match=r"^made_up_network:make: predict of the backbone raised "):
        builder(backbone="  callable: 'made_up_network:make'").build("bottleneck")


@pytest.mark.parametrize("arm", ["bottleneck", "frozen"])
def test_an_arm_knows_whose_backbone_it_has(builder, network, monkeypatch, arm):
    import keras

    module = ModuleType("made_up_network")
    module.make = lambda: keras.models.clone_model(network)
    monkeypatch.setitem(sys.modules, "made_up_network", module)
    made = builder(backbone="  callable: 'made_up_network:make'\n  cut: flatten").build(arm)
    assert made.made_by == "made_up_network:make"
    assert builder().build(arm).made_by is None


def test_features_depend_on_the_batch_size_of_the_frozen_arm(builder):
    """A batch of one runs other kernels than a larger one."""
    one = builder("frozen: {training: {batch_size: 2}}\n")
    assert one.extraction_batch_size() == 2
    other = builder("frozen: {training: {batch_size: 3}}\n")
    assert not one.gives_same("bottleneck", other.experiment)
    assert one.gives_same("bottleneck", one.experiment)
    assert not one.gives_same("frozen", other.experiment)


def test_features_are_stored(experiment, network, tmp_path):
    from equivcheck.arms.build import Builder

    network.save(tmp_path / "base.keras")
    spec = experiment(BACKBONE)
    first = Builder(spec, tmp_path / "cache").build("bottleneck")
    assert len(list((tmp_path / "cache").iterdir())) == 1  # training and validation are the same images here
    again = Builder(spec, tmp_path / "cache").build("bottleneck")
    np.testing.assert_array_equal(first.train.feed.x, again.train.feed.x)
    assert len(list((tmp_path / "cache").iterdir())) == 1


SHARED = {
    "labels": {"labels": "one_hot", "training.loss": "categorical_crossentropy"},
    "optimizer": {"training.optimizer": {"name": "sgd", "learning_rate": 0.1}},
    "order": {"training.shuffle": False},
    "batch size": {"training.batch_size": 5},
    "preprocessing": {"preprocessing": {"rescale": 0.5}},
}


@pytest.mark.parametrize(
    ("name", "patch"),
    [
        pytest.param("bottleneck", SHARED["labels"], id="bottleneck-labels"),
        *(pytest.param("frozen", patch, id=f"frozen-{what}") for what, patch in SHARED.items()),
    ],
)
def test_what_an_arm_is_built_on_serves_another_with_the_same_network(tiny, name, patch):
    """Their trainings are those of arms that were built afresh, to the last bit, and neither disturbs the other."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.training import train_by_fit
    from equivcheck.spec import resolve
    from equivcheck.trace.state import undisturbed

    declared, other = (resolve(tiny.patched({"training.epochs": 2, **each})) for each in ({}, patch))

    def trained(arm):
        with undisturbed(arm.model):
            return train_by_fit(arm, lambda *_: None)

    expected = [trained(Builder(experiment).build(name)) for experiment in (declared, other)]
    sharing = Builder(declared, shares=True)
    first, second = sharing.build(name), replace(sharing, experiment=other).build(name)
    assert first.model is not second.model
    assert (second.train.images is first.train.images) is ("preprocessing" not in patch)
    assert len({id(base.backbone) for base in sharing.bases.values()}) == 1
    given = [trained(arm) for arm in (first, second, first)]
    for one, wanted in zip(given, (*expected, expected[0]), strict=True):
        assert one.curves == wanted.curves
        for ours, theirs in zip(one.weights, wanted.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


OWN = {
    "head": {"head": [{"dense": {"units": 3, "activation": "relu"}}, {"dense": {"units": 3, "activation": "softmax"}}]},
    "freeze": {"backbone.freeze": False},
    "seed": {"training.seed": 7},
    "call": {"backbone.call": "training_false"},
}


@pytest.mark.parametrize("patch", OWN.values(), ids=OWN)
def test_what_decides_the_backbone_makes_another(tiny, patch):
    from equivcheck.arms.build import Builder
    from equivcheck.spec import resolve

    sharing = Builder(resolve(tiny), shares=True)
    sharing.build("frozen")
    replace(sharing, experiment=resolve(tiny.patched(patch))).build("frozen")
    assert len({id(base.backbone) for base in sharing.bases.values()}) == 2


@pytest.mark.parametrize("name", ["bottleneck", "frozen"])
def test_arms_that_augment_share_what_their_seed_decides(tiny, name):
    """Draws of the same seed are the same, whoever drew before; images are made once for all seeds."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.training import train_by_fit
    from equivcheck.spec import resolve
    from equivcheck.trace.state import undisturbed

    patch = {"augmentation": [{"gaussian_noise": {"stddev": 0.2}}], "training.epochs": 2}
    seeds = [resolve(tiny.patched({**patch, "training.seed": seed})) for seed in (0, 7, 0)]

    def trained(arm):
        with undisturbed(arm.model):
            return train_by_fit(arm, lambda *_: None).curves

    sharing = Builder(seeds[0], shares=True)
    arms = [replace(sharing, experiment=experiment).build(name) for experiment in seeds]
    assert len(sharing.bases) == 2
    assert len(sharing.prepared) == 1
    assert [trained(arm) for arm in arms] == [trained(Builder(experiment).build(name)) for experiment in seeds]


def test_an_arm_that_is_measured_has_a_backbone_of_its_own(tiny):
    from equivcheck.arms.build import Builder
    from equivcheck.spec import resolve

    builder = Builder(resolve(tiny))
    first, second = builder.build("frozen"), builder.build("frozen")
    ours, theirs = ({id(variable) for variable in arm.model.variables} for arm in (first, second))
    assert not ours & theirs


@pytest.mark.parametrize(
    ("patch", "shared"),
    [
        ({"training.batch_size": 5}, True),
        ({"labels": "one_hot", "training.loss": "categorical_crossentropy"}, True),
        ({"backbone.cut": "dropout"}, False),
        ({"keras_semantics": "2.1"}, False),
        ({"training.seed": 1}, False),  # its random layers start elsewhere
        ({"augmentation": [{"gaussian_noise": {"stddev": 0.2}}]}, False),
    ],
    ids=str,
)
def test_a_backbone_that_only_predicts_is_made_once(tiny, patch, shared):
    from equivcheck.arms.build import Builder
    from equivcheck.spec import resolve

    builder = Builder(resolve(tiny))
    first = builder.build("bottleneck")
    other = replace(builder, experiment=resolve(tiny.patched(patch))).build("bottleneck")
    alone = Builder(resolve(tiny.patched(patch))).build("bottleneck")
    assert (other.extractor is first.extractor) == shared
    np.testing.assert_array_equal(other.train.feed.x, alone.train.feed.x)
    assert other.model is not first.model
    for one, same in zip(other.extractor.variables, alone.extractor.variables, strict=True):
        np.testing.assert_array_equal(one, same)
