"""Watching layer calls inside a running model: what each is called, what it receives, and that nothing stays."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

X = np.ones((2, 4), np.float32)


@pytest.fixture(scope="module")
def nested():
    import keras

    base = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="dense"), keras.layers.Dropout(0.5, name="drop")], name="base"
    )
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2, name="dense")(base(inputs)), name="outer")


def paths_of(model, x=X):
    """Paths in the order in which layers are entered."""
    from equivcheck.trace.hooks import hooked

    called = []

    def note(call):
        called.append(call.path)
        return call.run(*call.args, **call.kwargs)

    with hooked(model, note):
        model(x)
    return called


def test_a_nested_layer_has_its_containers_in_its_path(nested):
    """Two layers may share a name, as long as one is nested."""
    assert paths_of(nested) == ["base/dense", "base/drop", "dense"]


def test_flat_models_have_plain_names():
    import keras

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="b")(keras.layers.Dense(3, name="a")(inputs)))
    assert paths_of(model) == ["a", "b"]


def test_models_nest_to_any_depth(nested):
    import keras

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.ReLU(name="last")(nested(inputs)))
    assert paths_of(model) == ["outer/base/dense", "outer/base/drop", "outer/dense", "last"]


def test_the_second_call_of_a_shared_layer_is_numbered():
    import keras

    inputs = keras.Input((4,))
    shared = keras.layers.Dense(4, name="shared")
    model = keras.Model(inputs, keras.layers.Add(name="add")([shared(shared(inputs)), inputs]))
    assert paths_of(model) == ["shared", "shared#2", "add"]


def test_a_shared_network_is_numbered_layer_by_layer(nested):
    import keras

    twin = keras.models.clone_model(nested.get_layer("base"))
    left, right = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([left, right], keras.layers.Add(name="add")([twin(left), twin(right)]))
    assert paths_of(model, [X, X]) == ["base/dense", "base/drop", "base/dense#2", "base/drop#2", "add"]


@pytest.fixture(scope="module")
def subclassed():
    import keras

    class Network(keras.Model):
        def __init__(self):
            super().__init__(name="network")
            self.hidden = keras.layers.Dense(3, name="hidden")
            self.several = [keras.layers.Dense(3, name=f"several_{index}") for index in range(2)]
            self.inner = keras.Sequential([keras.layers.Dense(2, name="last")], name="inner")

        def call(self, inputs, training=None):
            x = self.hidden(inputs)
            for layer in self.several:
                x = layer(x)
            return self.inner(x, training=training)

    model = Network()
    model(X)
    return model


def test_a_subclassed_model_is_a_layer_itself_and_so_is_what_it_holds(subclassed):
    """It may compute between its layers, so it is listed; the Sequential inside only routes, so it is not."""
    assert paths_of(subclassed) == ["network", "hidden", "several_0", "several_1", "inner/last"]


def test_a_subclassed_model_inside_a_graph(subclassed):
    import keras

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.ReLU(name="relu")(subclassed(inputs)))
    assert paths_of(model)[:2] == ["network", "network/hidden"]
    assert paths_of(model)[-1] == "relu"


def test_wrapped_layers_are_listed_below_their_wrapper(nested):
    import keras

    from equivcheck.arms.inference import InferenceMode

    inputs = keras.Input((4,))
    model = keras.Model(inputs, InferenceMode(nested.get_layer("base"), name="inference_mode")(inputs))
    assert paths_of(model) == ["inference_mode", "inference_mode/base/dense", "inference_mode/base/drop"]

    frames = keras.Input((2, 4))
    wrapped = keras.Model(
        frames, keras.layers.TimeDistributed(keras.layers.Dense(2, name="dense"), name="each")(frames)
    )
    assert paths_of(wrapped, np.ones((2, 2, 4), np.float32))[:2] == ["each", "each/dense"]


def test_watching_changes_no_result(nested, subclassed):
    from equivcheck.trace.hooks import hooked

    for model in (nested, subclassed):
        alone = np.array(model(X))
        with hooked(model, lambda call: call.run(*call.args, **call.kwargs)):
            np.testing.assert_array_equal(np.array(model(X)), alone)


def test_the_handler_decides_what_the_next_layer_receives(nested):
    from equivcheck.trace.hooks import hooked

    received = []

    def replace(call):
        received.append(np.array(call.args[0]))
        return call.run(*call.args, **call.kwargs) * (0 if call.path == "base/dense" else 1)

    with hooked(nested, replace):
        nested(X)
    assert [float(np.abs(tensor).max()) > 0 for tensor in received] == [True, False, False]


def layers_of(model):
    return [model, *model._flatten_layers()]


@pytest.mark.parametrize("failing", [None, "handler", "layer"])
def test_every_call_is_put_back(nested, failing, monkeypatch):
    """Also when the handler or a layer raises in the middle of a pass."""
    from equivcheck.trace.hooks import hooked

    class Stop(Exception):  # noqa: N818
        pass

    def handler(call):
        if failing is not None and call.path == "base/drop":
            raise Stop
        return call.run(*call.args, **call.kwargs)

    def explode(*_args, **_kwargs):
        raise Stop

    if failing == "layer":
        monkeypatch.setattr(type(nested.get_layer("base").get_layer("dense")), "call", explode)
    alone = [vars(layer).copy() for layer in layers_of(nested)]
    stopped = False
    try:
        with hooked(nested, handler):
            nested(X)
    except Stop:
        stopped = True
    assert stopped == (failing is not None)
    assert not [layer.name for layer in layers_of(nested) if "call" in vars(layer)]
    assert [set(vars(layer)) for layer in layers_of(nested)] == [set(before) for before in alone]


def test_the_flag_arrives_as_the_layer_gets_it():
    import keras

    from equivcheck.trace.hooks import hooked

    base = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5, name="drop")], name="base")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Flatten(name="flat")(base(inputs)))
    flags = {}

    def note(call):
        flags[call.path] = call.kwargs.get("training", "takes none")
        return call.run(*call.args, **call.kwargs)

    for given in (True, False):
        with hooked(model, note):
            model(X, training=given)
        assert flags == {"base/drop": given, "flat": "takes none"}


@pytest.mark.parametrize(
    ("written", "expected"), [({}, ()), ({"training": False}, ("base",)), ({"training": True}, ())]
)
def test_only_a_written_training_false_counts_as_declared(nested, written, expected):
    """Dropout's own default is False, and stands in every graph that holds one: nobody wrote that."""
    import keras

    from equivcheck.trace.hooks import declared_inference

    base = keras.models.clone_model(nested.get_layer("base"))
    inputs = keras.Input((4,))
    x = keras.layers.Dropout(0.5)(base(inputs, **written))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.BatchNormalization()(x)))
    assert declared_inference(model) == expected


def test_a_layer_called_with_training_false_is_declared():
    import keras

    from equivcheck.trace.hooks import declared_inference

    inputs = keras.Input((4,))
    normal = keras.layers.BatchNormalization(name="normal")(inputs, training=False)
    assert declared_inference(keras.Model(inputs, normal)) == ("normal",)


def test_a_model_without_a_graph_declares_nothing(subclassed):
    from equivcheck.trace.hooks import declared_inference

    assert declared_inference(subclassed) == ()
