"""Keys that mean something only in one arm, or only beside another key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from equivcheck.findings import ArmName

#: How a generator counted in Keras 1, and how every later Keras counts.
_IN_SAMPLES = ("samples_per_epoch", "validation_samples")
_IN_STEPS = ("steps_per_epoch", "validation_steps")


def misplaced(arm: ArmName, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What stands where it has no effect.

    Args:
        arm: The arm.
        data: Its merged keys, of which any may still be wrong.

    Yields:
        Dotted key and what is wrong.
    """
    if arm == "frozen" and "features" in data:
        yield "features", "goes under bottleneck; the frozen arm computes its features in every step"
    training = data.get("training")
    if not isinstance(training, Mapping):
        return
    semantics = data.get("keras_semantics")
    major = semantics.partition(".")[0] if isinstance(semantics, str) else ""
    # Where today's layers are asked for by name, the generator may still be one of Keras 1: that is what a training
    # of Keras 1 is when its frozen BatchNormalization is repaired and nothing else.
    for name in {"1": _IN_STEPS, "3": ()}.get(major, _IN_SAMPLES):
        if name in training:
            first = major == "1"
            counted = "samples, in samples_per_epoch and validation_samples" if first else "batches"
            advice = "" if first else ', in steps_per_epoch and validation_steps; or write keras_semantics: "1.2"'
            yield f"training.{name}", f"is of another Keras; this one counts {counted}{advice}"
    if "samples_per_epoch" in training and isinstance(training.get("shuffle"), Mapping):
        yield "training.shuffle", "is of a tf.data.Dataset; samples_per_epoch is of a generator, which has no buffer"
    yield from _in_phases(training)


def _in_phases(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    phases = training.get("phases")
    if not isinstance(phases, Mapping):
        return
    if not phases:
        yield "training.phases", "is empty; give each phase a name, or leave phases out"
    for number, (name, phase) in enumerate(phases.items()):
        if not isinstance(phase, Mapping):
            continue
        key = f"training.phases.{name}"
        if "freeze" in phase and "unfreeze" in phase:
            yield f"{key}.freeze", 'goes without unfreeze: unfreeze: {layers: "15:"} leaves the others as they are'
        if phase.get("recompile") is not False:
            continue
        if number == 0:
            yield f"{key}.recompile", "has no meaning in the first phase, which nothing was compiled before"
        for name_of in ("optimizer", "loss"):
            if name_of in phase:
                yield f"{key}.{name_of}", "goes into compile; here recompile is false"
