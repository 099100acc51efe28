"""The pretrained network up to the cut."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from equivcheck.errors import InputError, UserCodeError

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

X = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)


@pytest.fixture
def network():
    import keras

    def of(size=(8, 8, 3)):
        keras.utils.set_random_seed(0)
        inputs = outputs = keras.Input(size, name="image")
        for layer in (
            keras.layers.Conv2D(4, 3, name="conv"),
            keras.layers.BatchNormalization(name="bn"),
            keras.layers.GlobalAveragePooling2D(name="avg_pool"),
            keras.layers.Dropout(0.5, name="dropout"),
            keras.layers.Dense(3, name="predictions"),
        ):
            outputs = layer(outputs)
        return keras.Model(inputs, outputs, name="base")

    return of


@pytest.fixture
def build(experiment, tmp_path):
    """The backbone that a spec describes, by default through one stock."""
    from equivcheck.arms.backbone import Stock, load_network, up_to_cut

    kept = Stock()

    def of(text, arm="bottleneck", arms="", stock=kept):
        indented = "\n".join(f"  {line}" for line in text.splitlines())
        spec = getattr(experiment(indented, arms), arm)
        return up_to_cut(load_network(spec, stock, folder=tmp_path), spec)

    return of


@pytest.fixture
def saved(network, tmp_path):
    """The network, and a file of it beside the spec."""
    model = network()
    model.save(tmp_path / "base.keras")
    return model


@pytest.fixture
def theirs(monkeypatch):
    def of(function):
        module = ModuleType("made_up_backbone")
        module.make = function
        monkeypatch.setitem(sys.modules, "made_up_backbone", module)
        return "callable: 'made_up_backbone:make'"

    return of


# --- files ---


def test_a_file_as_it_was_saved(build, saved):
    backbone = build("file: base.keras")
    np.testing.assert_array_equal(backbone(X), saved(X))
    assert backbone.name == "base"


@pytest.mark.parametrize(
    ("cut", "layer"),
    [
        ("avg_pool", "avg_pool"),
        ("conv", "conv"),
        ("-2", "dropout"),
        ("-1", "predictions"),
        ("1", "conv"),
        ("3", "avg_pool"),
    ],
)
def test_a_cut_by_name_or_index(build, saved, cut, layer):
    import keras

    expected = keras.Model(saved.input, saved.get_layer(layer).output)
    backbone = build(f"file: base.keras\ncut: {cut}")
    np.testing.assert_array_equal(backbone(X), expected(X))
    assert backbone.layers[-1].name == layer


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (
            "avgpool",
            (
                "no layer 'avgpool' to cut at; the last ones are conv, bn, avg_pool, dropout, predictions; "
                'did you mean "avg_pool"?'
            ),
        ),
        ("zzz", "no layer 'zzz' to cut at; the last ones are conv, bn, avg_pool, dropout, predictions"),
        ("6", "no layer 6 to cut at; the backbone has 6"),
        ("-7", "no layer -7 to cut at; the backbone has 6"),
    ],
)
def test_a_cut_that_is_not_there(build, saved, cut, message):
    with pytest.raises(InputError) as raised:
        build(f"file: base.keras\ncut: {cut}")
    assert str(raised.value) == message


def test_a_sequential_network_can_be_cut(build, tmp_path):
    """It has no symbolic input of its own until something calls it."""
    import keras

    layers = [keras.layers.Conv2D(4, 3, name="conv"), keras.layers.Flatten(name="flatten"), keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers], name="base")
    model.save(tmp_path / "base.keras")
    backbone = build("file: base.keras\ncut: flatten")
    np.testing.assert_array_equal(backbone(X), layers[1](layers[0](X)))
    assert backbone.name == "base"


@pytest.mark.parametrize("cut", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("sequential", [True, False])
def test_a_number_is_an_index_into_the_layers_of_the_model_as_users_see_them(build, network, tmp_path, sequential, cut):
    """A Sequential does not list its InputLayer; the graph that it becomes does."""
    import keras

    model = network()
    if sequential:
        model = keras.Sequential([keras.Input((8, 8, 3)), *model.layers[1:4]], name="base")
    model.save(tmp_path / "base.keras")
    model = keras.models.load_model(tmp_path / "base.keras")
    expected = keras.Model(model.inputs[0], model.layers[cut].output)
    backbone = build(f"file: base.keras\ncut: {cut}")
    assert backbone.layers[-1].name == model.layers[cut].name
    np.testing.assert_array_equal(backbone(X), expected(X))


def test_a_number_beyond_the_layers_of_a_sequential(build, tmp_path):
    import keras

    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]).save(tmp_path / "base.keras")
    with pytest.raises(InputError, match=r"^no layer 1 to cut at; the backbone has 1$"):
        build("file: base.keras\ncut: 1")


@pytest.fixture
def odd(theirs):
    """A network of this many inputs of one shape and this many outputs, in the structure that is asked for."""
    import keras

    def of(shape=(8, 8, 3), inputs=1, outputs=1, structure=None):
        given = [keras.Input(shape, name=f"input_{number}") for number in range(inputs)]
        joined = keras.layers.Concatenate(name="joined")(given) if inputs > 1 else given[0]
        made = [keras.layers.Dense(2, name=f"output_{number}")(joined) for number in range(outputs)]
        one, other = given[0] if inputs == 1 else given, made[0] if outputs == 1 else made
        return keras.Model(structure(one) if structure else one, structure(other) if structure else other)

    return lambda **about: theirs(lambda: of(**about))


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (
            {"inputs": 2},
            (
                "the backbone takes 2 inputs ((None, 8, 8, 3), (None, 8, 8, 3)); "
                "expected one, an image (None, height, width, channels)"
            ),
        ),
        (
            {"shape": (5,)},
            "the backbone takes inputs of shape (None, 5); expected images (None, height, width, channels)",
        ),
        (
            {"outputs": 2},
            (
                "the backbone has 2 outputs ((None, 8, 8, 2), (None, 8, 8, 2)); expected one; "
                "name the layer whose output is the feature in backbone.cut"
            ),
        ),
    ],
)
def test_a_network_that_is_not_from_one_image_to_one_feature(build, odd, about, message):
    with pytest.raises(InputError) as raised:
        build(odd(**about))
    assert str(raised.value) == message


def test_one_of_several_outputs_can_be_cut_at(build, odd):
    assert build(odd(outputs=2) + "\ncut: output_1").output_shape == (None, 8, 8, 2)


@pytest.mark.parametrize("structure", [lambda one: [one], lambda one: {one.name: one}], ids=["list", "dict"])
@pytest.mark.parametrize("cut", ["", "\ncut: output_0"])
def test_one_input_and_output_in_a_structure(build, odd, structure, cut):
    backbone = build(odd(structure=structure) + cut)
    assert backbone(X).shape == (2, 8, 8, 2)


def test_a_layer_of_several_outputs_is_no_cut(build, theirs):
    import keras

    class Both(keras.layers.Layer):
        def call(self, inputs):
            return inputs, inputs + 1

    def make():
        image = keras.Input((8, 8, 3))
        return keras.Model(image, keras.layers.Add()(Both(name="both")(image)))

    with pytest.raises(InputError, match=r"^layer 'both' has 2 outputs; cut at a layer that has one$"):
        build(theirs(make) + "\ncut: both")


def test_a_network_inside_the_network_is_no_cut(build, theirs, network):
    """Its own output belongs to its own graph."""
    import keras

    def make():
        image = keras.Input((8, 8, 3))
        return keras.Model(image, keras.layers.Dropout(0.1)(network()(image)))

    with pytest.raises(InputError, match=r"^cannot be cut at 'base': Output with path `` is not connected"):
        build(theirs(make) + "\ncut: base")


def test_a_network_that_is_no_graph_is_refused(build, theirs):
    import keras

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(InputError, match=r"^made_up_backbone:make: expected a built Functional or Sequential model"):
        build(theirs(Subclassed))
    with pytest.raises(InputError, match=r"^made_up_backbone:make: expected a built Functional or Sequential model"):
        build(theirs(lambda: keras.Sequential([keras.layers.Dense(2)])))


def test_every_arm_gets_a_copy_of_its_own(build, saved):
    one, other = build("file: base.keras"), build("file: base.keras", "frozen")
    assert not {id(variable) for variable in one.variables} & {id(variable) for variable in other.variables}
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for ours, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_is_read_once(build, saved, tmp_path):
    build("file: base.keras\ncut: avg_pool")
    (tmp_path / "base.keras").unlink()
    assert build("file: base.keras\ncut: dropout", "frozen").layers[-1].name == "dropout"


def test_old_semantics(build, saved):
    arms = "frozen: {keras_semantics: '2.1'}\n"
    names = {
        arm: [type(layer).__name__ for layer in build("file: base.keras", arm, arms).layers]
        for arm in ("bottleneck", "frozen")
    }
    assert "BatchNormalization" in names["bottleneck"]
    assert "LegacyBatchNormalization" in names["frozen"]


@pytest.mark.parametrize("content", [b"", b"not a model", None])
def test_a_file_that_is_no_model(build, saved, tmp_path, content):
    path = tmp_path / "base.keras"
    path.write_bytes(path.read_bytes()[:-400] if content is None else content)
    with pytest.raises(InputError, match=r"base\.keras: cannot be loaded as a Keras model: \S"):
        build("file: base.keras")


def test_a_missing_file(build):
    with pytest.raises(InputError, match=r"base\.keras: cannot be loaded as a Keras model: "):
        build("file: base.keras")


@pytest.mark.parametrize("sequential", [False, True])
def test_code_in_a_file_is_not_run(build, tmp_path, sequential):
    """A Lambda layer is marshalled byte code; this one would leave a file behind."""
    import keras

    target = str(tmp_path / "sprung")

    trap = lambda inputs: (open(target, "w").close(), inputs)[1]  # noqa: E731, PTH123  (byte code must stand alone)
    inputs, layer = keras.Input((8, 8, 3)), keras.layers.Lambda(trap, name="trap")
    model = keras.Sequential([inputs, layer]) if sequential else keras.Model(inputs, layer(inputs))
    (tmp_path / "sprung").unlink()
    model.save(tmp_path / "base.keras")
    with pytest.raises(InputError, match=r"base\.keras: cannot be loaded as a Keras model: .*`Lambda`"):
        build("file: base.keras")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("size", "fits"), [((8, 8, 3), True), ((None, None, 3), True), ((8, 9, 3), False), ((None, None, 1), False)]
)
def test_images_must_fit(build, network, tmp_path, size, fits):
    network(size).save(tmp_path / "base.keras")
    if fits:
        assert build("file: base.keras").output_shape == (None, 3)
        return
    with pytest.raises(InputError) as raised:
        build("file: base.keras")
    assert str(raised.value) == (
        f"the backbone takes images of shape {size}; data.image_size and channels give (8, 8, 3)"
    )


# --- functions ---


def test_a_function_gives_a_new_network_to_each_arm(build, network, theirs):
    text = theirs(network) + "\ncut: avg_pool"
    one, other = build(text), build(text, "frozen")
    assert one.layers[-1].name == "avg_pool"
    assert not {id(variable) for variable in one.variables} & {id(variable) for variable in other.variables}


def test_a_function_that_draws_weights_draws_the_same_for_both(build, theirs):
    import keras

    def draw():
        return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Dense(2)])

    text = theirs(draw)
    np.testing.assert_array_equal(build(text)(X), build(text, "frozen")(X))


def test_a_function_under_old_semantics(build, network, theirs):
    model = build(theirs(network), "frozen", "frozen: {keras_semantics: '2.2'}\n")
    assert "LegacyBatchNormalization" in [type(layer).__name__ for layer in model.layers]


@pytest.mark.parametrize("value", [None, "a model", 7])
def test_a_function_that_returns_no_model_is_named(build, theirs, value):
    with pytest.raises(InputError) as raised:
        build(theirs(lambda: value))
    assert str(raised.value) == f"made_up_backbone:make returned {type(value).__name__}; expected a keras.Model"


def test_a_function_that_raises_is_named(build, theirs):
    with pytest.raises(UserCodeError, match=r"^made_up_backbone:make raised ZeroDivisionError: "):
        build(theirs(lambda: 1 / 0))


# --- keras.applications ---


@pytest.fixture
def small(build, experiment, tmp_path):
    """An application at 32 x 32 pixels, with random weights unless told otherwise."""
    from equivcheck.arms.backbone import Stock, load_network, up_to_cut

    kept = Stock()

    def of(application, *lines, arm="bottleneck", weights="none"):
        text = "".join(f"  {line}\n" for line in (f"application: {application}", f"weights: {weights}", *lines))
        arms = "bottleneck: &size {data: {image_size: [32, 32]}}\nfrozen: *size\n"
        spec = getattr(experiment(text, arms), arm)
        return up_to_cut(load_network(spec, kept, folder=tmp_path), spec)

    return of


def test_an_application_without_a_cut_ends_in_its_pooled_features(small):
    backbone = small("MobileNetV2")
    assert backbone.input_shape == (None, 32, 32, 3)
    assert backbone.output_shape == (None, 1280)


def test_an_application_with_a_cut(small):
    assert small("VGG16", "cut: block1_pool").output_shape == (None, 16, 16, 64)


def test_random_weights_are_the_same_in_both_arms(small):
    one, other = small("MobileNetV2"), small("MobileNetV2", arm="frozen")
    assert [weight.path for weight in one.weights] == [weight.path for weight in other.weights]
    assert all(np.array_equal(a, b) for a, b in zip(one.get_weights(), other.get_weights(), strict=True))


def test_layer_names_do_not_depend_on_what_was_built_before(small, network):
    """Keras numbers automatic names up in every process: the cut would be found in the first arm only."""
    import keras

    keras.layers.Flatten()
    keras.layers.ReLU()
    names = [layer.name for layer in small("MobileNet").layers]
    keras.layers.ReLU()
    assert "global_average_pooling2d" in names


def test_an_image_that_is_too_small_for_it(small):
    with pytest.raises(
        InputError, match=r"^InceptionV3 with weights 'none' cannot be built: .*Input size must be at least"
    ):
        small("InceptionV3")


def test_weights_of_another_network(small, network, tmp_path):
    network().save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(InputError, match=r"^MobileNet with weights '.*other\.weights\.h5' cannot be built: \S"):
        small("MobileNet", weights="other.weights.h5")


def test_weights_of_a_file(small, tmp_path):
    model = small("MobileNet")
    model.set_weights([weight + 1 for weight in model.get_weights()])
    model.save_weights(tmp_path / "mine.weights.h5")
    for ours, theirs in zip(
        small("MobileNet", weights="mine.weights.h5").get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
