"""An arm as it would have been built from another seed, without building it again.

A spec's seed decides the head's initial weights, the states of the head's random layers, and the order of the samples;
the backbone and the stored features stay what they are.
"""

from __future__ import annotations

from dataclasses import replace

import keras

from equivcheck.arms.arm import Arm
from equivcheck.arms.head import build_layers, head_model
from equivcheck.spec.model import ArmSpec


def reseeded(arm: Arm, spec: ArmSpec, seed: int) -> Arm | None:
    """The arm with the head that another seed gives; its model is the same object, with other values.

    Args:
        arm: An arm that was built from the spec and stands as it was built.
        spec: The spec, whatever its own seed.
        seed: The seed.

    Returns:
        None where the seed decides more than the head: augmentation, data that shuffle themselves, code of the user's.
    """
    if spec.augmentation or spec.backbone.callable is not None or not _plain(arm):
        return None
    keras.utils.set_random_seed(seed)
    fresh = build_layers(spec.head)
    live = [arm.model.get_layer(layer.name) for layer in fresh]
    head_model(fresh, live[0].input.shape[1:])
    for old, new in zip(live, fresh, strict=True):
        for variable, value in zip(old.variables, new.variables, strict=True):
            variable.assign(value)
    return replace(arm, seed=seed)


def _plain(arm: Arm) -> bool:
    return all(split.feed.arrays for split in (arm.train, arm.validation) if split is not None)
