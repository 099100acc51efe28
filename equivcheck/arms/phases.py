"""What is frozen in an arm's model, and the phases of its training, each of which may change that."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from equivcheck.errors import InputError
from equivcheck.spec.model import Phase, Slice


def freeze(wanted: Slice | bool, backbone: keras.Model, model: keras.Model) -> None:  # noqa: FBT001  (as the spec says it)
    """Freezes as users do: the backbone as a whole, or layer by layer.

    Args:
        wanted: As the spec says: true for the backbone, a slice, or false for nothing.
        backbone: The backbone in the model.
        model: The whole model.
    """
    _set(wanted, backbone, model, trainable=False)


def enter(phase: Phase, backbone: keras.Model, model: keras.Model) -> None:
    """Freezes and unfreezes what a phase says.

    Raises:
        InputError: There is nothing in the slice that is to be unfrozen.
    """
    if phase.freeze is not None:
        freeze(phase.freeze, backbone, model)
    if phase.unfreeze is None or phase.unfreeze is False:
        return
    if not _set(phase.unfreeze, backbone, model, trainable=True):
        raise InputError(_empty(phase.unfreeze, backbone, model))
    if not phase.unfreeze_batchnorm:
        for layer in backbone._flatten_layers():  # noqa: SLF001  (no public list of nested layers)
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


def _set(wanted: Slice | bool, backbone: keras.Model, model: keras.Model, *, trainable: bool) -> int:  # noqa: FBT001
    """Sets the flag of what is wanted; how many layers that are."""
    chosen = list(_chosen(wanted, backbone, model))
    for layer in chosen:
        layer.trainable = trainable
    return len(chosen)


def _chosen(wanted: Slice | bool, backbone: keras.Model, model: keras.Model) -> Iterator[keras.layers.Layer]:  # noqa: FBT001
    if wanted is True:
        yield backbone
    elif wanted is not False:
        yield from _of(wanted, backbone, model).layers[wanted.bounds]


def _of(wanted: Slice, backbone: keras.Model, model: keras.Model) -> keras.Model:
    return backbone if wanted.of == "backbone" else model


def _empty(wanted: Slice | bool, backbone: keras.Model, model: keras.Model) -> str:  # noqa: FBT001
    assert isinstance(wanted, Slice)
    advice = "; for layers of the backbone, write of: backbone" if wanted.of == "model" else ""
    whole = _of(wanted, backbone, model)
    return f"layers {wanted.layers} are none of the {len(whole.layers)} layers of the {wanted.of}{advice}"
