"""The pretrained network up to the cut: from keras.applications, a .keras file or the user's own function."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from equivcheck.arms.inception_v4 import inception_v4
from equivcheck.arms.legacy import own_copy
from equivcheck.arms.said import reason_of, refused
from equivcheck.arms.seeding import set_seeds
from equivcheck.arms.user_code import call_user_function, load_user_function
from equivcheck.errors import InputError
from equivcheck.spec.model import ArmSpec, Backbone


class Stock:
    """Pretrained networks, loaded once however many arms take a copy."""

    def __init__(self) -> None:
        self._networks: dict[str, keras.Model] = {}

    def network(self, spec: ArmSpec) -> keras.Model:
        """The network of a file or of keras.applications, not yet cut, for copying only."""
        backbone = spec.backbone
        made_by = backbone.model_dump_json(include={"application", "file", "weights"})
        key = f"{made_by} {backbone.cut is None} {spec.data.image_size} {spec.data.channels} {spec.training.seed}"
        if key not in self._networks:
            if backbone.file is not None:
                self._networks[key] = _from_file(backbone.file)
            else:
                self._networks[key] = _from_application(backbone, spec)
        return self._networks[key]


def source_of(backbone: Backbone) -> str:
    """The key of a spec that says where the network comes from."""
    return next(kind for kind in Backbone.kinds if getattr(backbone, kind) is not None)


def load_network(spec: ArmSpec, stock: Stock, *, folder: Path) -> keras.Model:
    """The whole network, not yet cut; what a callable returns is the arm's own, anything else is for copying only.

    Args:
        spec: The arm.
        stock: Where pretrained networks are kept.
        folder: Folder of the spec, from which a callable's module is imported.

    Raises:
        InputError: It cannot be loaded, or is no network from one image of the spec's size.
        UserCodeError: The callable raised.
    """
    made_by = spec.backbone.callable
    if made_by is None:
        network = stock.network(spec)
    else:
        load_user_function(made_by, folder=folder)  # a module draws too when it is imported, and that happens once
        keras.utils.set_random_seed(spec.training.seed)
        network = call_user_function(made_by, folder=folder)
        if not isinstance(network, keras.Model):
            raise InputError(f"{made_by} returned {type(network).__name__}; expected a keras.Model")
        _check_graph(network, made_by=made_by)
    _check_input(network, spec)
    if spec.backbone.cut is None and len(network.outputs) != 1:
        raise InputError(
            f"the backbone has {len(network.outputs)} outputs ({_shapes(network.outputs)}); expected one; "
            "name the layer whose output is the feature in backbone.cut"
        )
    return network


def up_to_cut(network: keras.Model, spec: ArmSpec) -> keras.Model:
    """A backbone of one's own: nothing in it is shared with another arm.

    Args:
        network: As loaded.
        spec: The arm.

    Returns:
        A model from images ``(n, height, width, channels)`` to features.

    Raises:
        InputError: There is no such layer to cut at, or it cannot be cut there.
    """
    semantics = spec.keras_semantics
    cut = _cut(network, spec.backbone.cut)
    if spec.backbone.callable is not None and semantics is None and spec.precision == "float32":
        # Not every model of a user's can be copied, and each call gives a new one anyway.
        return cut
    if spec.backbone.callable is None:
        # Copied random layers draw their seeds anew: the same for every copy, and others than the head's layers.
        set_seeds(spec.training.seed + 1)
    with refused("the backbone cannot be copied"):
        return own_copy(cut, semantics, spec.precision)


def _from_file(path: Path) -> keras.Model:
    try:
        # safe_mode refuses Lambda layers, whose code would be unpickled and run.
        network = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise InputError(f"{path}: cannot be loaded as a Keras model: {reason_of(error) or repr(error)}") from error
    _check_graph(network, made_by=str(path))
    return network


def _from_application(backbone: Backbone, spec: ArmSpec) -> keras.Model:
    assert backbone.application is not None
    constructor = (
        inception_v4 if backbone.application == "inception_v4" else getattr(keras.applications, backbone.application)
    )
    weights = {"imagenet": "imagenet", "none": None}.get(backbone.weights, backbone.weights)
    arguments: dict[str, Any] = {
        "include_top": backbone.cut is not None,
        "weights": "imagenet" if weights == "imagenet" else None,
        "input_shape": (*spec.data.image_size, spec.data.channels),
    }
    if backbone.cut is None:
        arguments["pooling"] = "avg"
    elif weights == "imagenet" and list(arguments["input_shape"]) != _default_shape(constructor):
        # The pretrained top fits one image size only; the layers below it fit any.
        arguments |= {"include_top": False, "pooling": "avg"}
    keras.backend.clear_session(free_memory=False)  # so that both arms get the same automatic layer names
    try:
        network = constructor(**arguments)
        if isinstance(weights, str) and weights != "imagenet":
            network.load_weights(weights)
    except Exception as error:
        raise InputError(
            f"{backbone.application} with weights {backbone.weights!r} cannot be built: "
            f"{reason_of(error) or repr(error)}"
        ) from error
    return network


def _default_shape(constructor: Any) -> list[int]:
    """The image size of the pretrained top: 299 for the Inception family and Xception, else 224 (NASNetLarge 331)."""
    name = constructor.__name__
    side = 331 if name == "NASNetLarge" else 299 if name in {"InceptionV3", "InceptionResNetV2", "Xception"} else 224
    return [side, side, 3]


def _check_graph(network: Any, *, made_by: str) -> None:
    if not (getattr(network, "inputs", None) and getattr(network, "outputs", None)):
        raise InputError(f"{made_by}: expected a built Functional or Sequential model, not {type(network).__name__}")


def _check_input(network: keras.Model, spec: ArmSpec) -> None:
    """Refuses a network that does not take one image of the spec's size."""
    if len(network.inputs) != 1:
        raise InputError(
            f"the backbone takes {len(network.inputs)} inputs ({_shapes(network.inputs)}); "
            "expected one, an image (None, height, width, channels)"
        )
    shape = tuple(network.inputs[0].shape)
    if len(shape) != 4:  # noqa: PLR2004
        raise InputError(f"the backbone takes inputs of shape {shape}; expected images (None, height, width, channels)")
    wanted = (*spec.data.image_size, spec.data.channels)
    if not all(size is None or size == want for size, want in zip(shape[1:], wanted, strict=True)):
        raise InputError(f"the backbone takes images of shape {shape[1:]}; data.image_size and channels give {wanted}")


def _shapes(tensors: Sequence[Any]) -> str:
    return ", ".join(str(tuple(tensor.shape)) for tensor in tensors)


def _cut(network: keras.Model, cut: str | int | None) -> keras.Model:
    """The network up to a layer, from one tensor to one tensor.

    A Sequential model becomes a graph, for it has no symbolic input of its own until something calls it; so does one
    whose only input or output comes in a list or a dict.
    """
    if cut is None:
        if not isinstance(network, keras.Sequential) and _bare(network.input) and _bare(network.output):
            return network
        return keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    layer = _layer(network, cut)
    with refused(f"cannot be cut at {layer.name!r}"):
        output = layer.output
        if not _bare(output):
            raise InputError(
                f"layer {layer.name!r} has {len(keras.tree.flatten(output))} outputs; cut at a layer that has one"
            )
        return keras.Model(network.inputs[0], output, name=network.name)


def _bare(tensors: Any) -> bool:
    """Whether it is one tensor, not a structure of some."""
    return isinstance(tensors, keras.KerasTensor)


def _layer(network: keras.Model, cut: str | int) -> keras.layers.Layer:
    layers = network.layers  # of a Sequential without its InputLayer, as users count them too
    if isinstance(cut, int):
        if not -len(layers) <= cut < len(layers):
            raise InputError(f"no layer {cut} to cut at; the backbone has {len(layers)}")
        return layers[cut]
    names = {layer.name: layer for layer in layers}
    if cut not in names:
        near = difflib.get_close_matches(cut, names, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise InputError(f"no layer {cut!r} to cut at; the last ones are {', '.join(list(names)[-5:])}{hint}")
    return names[cut]
