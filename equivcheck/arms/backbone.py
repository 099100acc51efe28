"""The pretrained network up to the cut: from keras.applications, a .keras file or the user's own function."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import keras

from equivcheck.arms.legacy import own_copy
from equivcheck.arms.user_code import call_user_function
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


def build_backbone(spec: ArmSpec, stock: Stock, *, folder: Path) -> keras.Model:
    """A backbone of one's own: nothing in it is shared with another arm.

    Args:
        spec: The arm.
        stock: Where pretrained networks are kept.
        folder: Folder of the spec, from which a callable's module is imported.

    Returns:
        A model from images ``(n, height, width, channels)`` to features.

    Raises:
        InputError: It cannot be loaded, or has no such layer to cut at.
    """
    backbone = spec.backbone
    if backbone.callable is None:
        network = stock.network(spec)
        _check_input(network, spec)
        cut = _cut(network, backbone.cut)
        # Copied random layers draw their seeds anew: the same ones for every copy, and others than the head's layers.
        keras.utils.set_random_seed(spec.training.seed + 1)
        return own_copy(cut, spec.keras_semantics)
    keras.utils.set_random_seed(spec.training.seed)
    network = call_user_function(backbone.callable, folder=folder)
    if not isinstance(network, keras.Model):
        raise InputError(f"{backbone.callable} returned {type(network).__name__}; expected a keras.Model")
    network = _as_graph(network, made_by=backbone.callable)
    _check_input(network, spec)
    cut = _cut(network, backbone.cut)
    # Not every model of a user's can be copied, and each call gives a new one anyway.
    return cut if spec.keras_semantics is None else own_copy(cut, spec.keras_semantics)


def _from_file(path: Path) -> keras.Model:
    try:
        # safe_mode refuses Lambda layers, whose code would be unpickled and run.
        network = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise InputError(f"{path}: cannot be loaded as a Keras model: {reason[0] if reason else error!r}") from error
    return _as_graph(network, made_by=str(path))


def _from_application(backbone: Backbone, spec: ArmSpec) -> keras.Model:
    assert backbone.application is not None
    constructor = getattr(keras.applications, backbone.application)
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
        reason = str(error).strip().splitlines()
        raise InputError(
            f"{backbone.application} with weights {backbone.weights!r} cannot be built: "
            f"{reason[0] if reason else error!r}"
        ) from error
    return network


def _default_shape(constructor: Any) -> list[int]:
    """The image size of the pretrained top: 299 for the Inception family and Xception, else 224 (NASNetLarge 331)."""
    name = constructor.__name__
    side = 331 if name == "NASNetLarge" else 299 if name in {"InceptionV3", "InceptionResNetV2", "Xception"} else 224
    return [side, side, 3]


def _check_input(network: keras.Model, spec: ArmSpec) -> None:
    shape = getattr(network, "input_shape", None)
    wanted = (*spec.data.image_size, spec.data.channels)
    if isinstance(shape, tuple) and len(shape) == 4:  # noqa: PLR2004
        fits = all(size is None or size == want for size, want in zip(shape[1:], wanted, strict=True))
        if not fits:
            raise InputError(
                f"the backbone takes images of shape {shape[1:]}; data.image_size and channels give {wanted}"
            )


def _as_graph(network: keras.Model, *, made_by: str) -> keras.Model:
    """The network as a graph: a Sequential model has no symbolic input of its own until something calls it."""
    if not (getattr(network, "inputs", None) and getattr(network, "outputs", None)):
        raise InputError(f"{made_by}: expected a built Functional or Sequential model, not {type(network).__name__}")
    if isinstance(network, keras.Sequential):
        return keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    return network


def _cut(network: keras.Model, cut: str | int | None) -> keras.Model:
    if cut is None:
        return network
    layers = network.layers
    if isinstance(cut, int):
        if not -len(layers) <= cut < len(layers):
            raise InputError(f"no layer {cut} to cut at; the backbone has {len(layers)}")
        layer = layers[cut]
    else:
        names = {layer.name: layer for layer in layers}
        if cut not in names:
            near = difflib.get_close_matches(cut, names, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise InputError(f"no layer {cut!r} to cut at; the last ones are {', '.join(list(names)[-5:])}{hint}")
        layer = names[cut]
    return keras.Model(network.input, layer.output, name=network.name)
