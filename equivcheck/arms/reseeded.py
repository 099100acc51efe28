"""An arm as another seed, order or length of training or of an epoch would have built it, without building it again.

A spec's seed decides the head's initial weights, the states of the head's random layers, and the order of the samples;
the backbone and the stored features stay what they are.
"""

from __future__ import annotations

from dataclasses import replace

from equivcheck.arms.arm import Arm
from equivcheck.arms.feeding import fit_arguments, train_feed, validation_feed
from equivcheck.arms.head import build_layers, head_model
from equivcheck.arms.head_weights import load_head_weights
from equivcheck.arms.seeding import set_seeds
from equivcheck.spec.model import ArmSpec, Training


def same_but_for_fit(spec: ArmSpec) -> ArmSpec:
    """The spec of an arm without what ``reseeded`` can change: equal for arms that it makes of one another."""
    free: dict[str, object] = {"seed": 0, "epochs": 1}
    if isinstance(spec.training.shuffle, bool):  # a shuffle buffer is part of the data
        free |= {"shuffle": True, "samples_per_epoch": None, "validation_samples": None}
    return spec.model_copy(update={"training": spec.training.model_copy(update=free)})


def reseeded(arm: Arm, spec: ArmSpec) -> Arm | None:
    """The arm with the head and the arguments of ``fit`` that its spec now gives; its model is the same object.

    Args:
        arm: An arm that was built from a spec which is the ``same_but_for_fit``, and stands as it was built.
        spec: The spec.

    Returns:
        None where the seed decides more than the head: augmentation, data that shuffle themselves, code of the user's.
    """
    seed = spec.training.seed
    if arm.train.samples is None:
        return None
    if seed != arm.seed:
        if spec.augmentation or spec.backbone.callable is not None or not arm.begins_anew:
            return None
        set_seeds(seed)
        fresh = build_layers(spec.head)
        live = [arm.model.get_layer(layer.name) for layer in fresh]
        head_model(fresh, live[0].input.shape[1:])
        if spec.head_weights is not None:
            load_head_weights(fresh, spec.head_weights)
        for old, new in zip(live, fresh, strict=True):
            for variable, value in zip(old.variables, new.variables, strict=True):
                variable.assign(value)
    again = replace(arm, seed=seed, fit=fit_arguments(spec.training, arm.train.samples.classes))
    return _fed_anew(again, spec.training) if arm.begins_anew else again


def _fed_anew(arm: Arm, training: Training) -> Arm:
    train = replace(arm.train, feed=train_feed(*arm.train.feed.table, training))
    validation = arm.validation and replace(arm.validation, feed=validation_feed(*arm.validation.feed.table, training))
    return replace(arm, train=train, validation=validation)
