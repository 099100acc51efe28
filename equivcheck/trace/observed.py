"""What can be measured on one arm alone: its iterators, its flags, one real training step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from equivcheck.arms.arm import Arm
from equivcheck.arms.user_code import user_code
from equivcheck.errors import InconclusiveError, UserCodeError
from equivcheck.evidence import RepeatTrace, StoredTrace
from equivcheck.trace.backward import backward
from equivcheck.trace.hooks import layers_by_path
from equivcheck.trace.labels import trace_labels
from equivcheck.trace.state import undisturbed
from equivcheck.trace.step import Step, flags_of, take_step
from equivcheck.trace.stored import trace_stored
from equivcheck.trace.walk import Walk, walk

#: Samples that go through the arms layer by layer: enough to tell a sample from its batch, few enough to keep every
#: activation of a deep backbone in memory.
PROBES = 8
#: Fewer where the activations of one pass, of which four are kept at a time, would take more than this many bytes; but
#: never so few that half of them were a batch of one, which runs other kernels.
_MOST_BYTES, _FEWEST = 1 << 30, 4
#: Samples that show what every sample shows: which flag a layer gets.
_FEW = 2


@dataclass(frozen=True, slots=True)
class Observed:
    """One arm and what it does by itself; every variable of it is as it was.

    Attributes:
        arm: The live arm.
        train: Two epochs of its training iterator.
        validation: Two evaluations of its validation iterator, as ``fit`` runs them behind the epochs; or None.
        evaluate: The ``training`` value that each layer receives from ``evaluate``.
        step: One training step.
        fitted_before: The model came with a train function that had been traced before.
        wanted: By ``id``, the variables that a step which is traced afresh gives a gradient that is not 0; empty where
            it would not move others than the step did.
        repeat: The arm built a second time; None where that was not asked.
        stored: Its stored training features against its images; None where there are none.
        stored_validation: The same of the validation features.
    """

    arm: Arm
    train: Walk
    validation: Walk | None
    evaluate: Mapping[str, bool | None]
    step: Step
    fitted_before: bool = False
    wanted: frozenset[int] = frozenset()
    repeat: RepeatTrace | None = None
    stored: StoredTrace | None = None
    stored_validation: StoredTrace | None = None


def observe(arm: Arm) -> Observed:
    """Measures one arm.

    Raises:
        InconclusiveError: ``fit`` raises, and not because of labels that the loss refuses (that is a finding).
        UserCodeError: The same, of an arm that the user's own function made.
    """
    train, validation = walk(arm)
    # Before the step: this builds loss and metrics on a few samples, which fit would else do by tracing the model once
    # more.
    evaluate = _evaluate_flags(arm, train)
    fitted_before = getattr(arm.model, "train_function", None) is not None
    with user_code(arm.made_by, f"fit of the {arm.name} arm"):  # what is no Exception leaves the step: sys.exit
        step = take_step(arm)
    if step.failure is not None and not _refused(arm, train):
        if arm.made_by is not None:
            raise UserCodeError(f"{arm.made_by}: fit of the {arm.name} arm raised {step.failure}")
        raise InconclusiveError(f"the {arm.name} arm cannot be trained: fit raised {step.failure}")
    wanted = _wanted(arm, train, step) if fitted_before else frozenset()
    return Observed(
        arm=arm,
        train=train,
        validation=validation,
        evaluate=evaluate,
        step=step,
        fitted_before=fitted_before,
        wanted=wanted,
        stored=trace_stored(arm, arm.train, train),
        stored_validation=trace_stored(arm, arm.validation, validation),
    )


def probes_of(model: keras.Model) -> int:
    """How many samples go through a model layer by layer; ``PROBES`` where its graph does not tell what they take."""
    return max(_FEWEST, min(PROBES, _MOST_BYTES // max(1, _activations(model))))


def _activations(model: keras.Model) -> int:
    """Bytes of all that the layers of a model give for one sample."""
    made = (
        tensor
        for layer in layers_by_path(model).values()
        for node in layer._inbound_nodes  # noqa: SLF001  (no public list)
        for tensor in node.output_tensors
    )
    return sum(
        int(np.prod([size or 1 for size in tensor.shape[1:]])) * tf.as_dtype(tensor.dtype).size for tensor in made
    )


def _wanted(arm: Arm, train: Walk, step: Step) -> frozenset[int]:
    """What a step would move whose train function knew today's ``trainable`` flags.

    The step of ``fit`` keeps those that it was first traced with, so another step is taken outside of it.
    """
    stuck = {id(variable) for variable in arm.model.trainable_variables if not step.change.get(id(variable))}
    if not stuck or step.failure is not None:
        return frozenset()
    data = tuple(map(keras.ops.convert_to_tensor, (train.x[train.labelled[:PROBES]], train.y[:PROBES])))
    try:
        with undisturbed(arm.model):
            fresh = backward(arm.model, data).gradients
    except Exception:  # noqa: BLE001  (a train_step of the user's own may not come apart)
        return frozenset()
    return frozenset(
        key for key, found in fresh.items() if found is not None and keras.ops.convert_to_numpy(found).any()
    )


def _refused(arm: Arm, train: Walk) -> bool:
    """Whether the loss raises on these labels."""
    asked = trace_labels(arm.model, train.y, outputs=train.outputs, probes=None, predictions=None)
    return asked.failure is not None


def _evaluate_flags(arm: Arm, train: Walk) -> Mapping[str, bool | None]:
    """What ``evaluate`` passes on, from the step that it runs."""
    x = keras.ops.convert_to_tensor(train.x[train.labelled[:_FEW]])
    y = keras.ops.convert_to_tensor(train.y[:_FEW])
    try:
        with undisturbed(arm.model), flags_of(arm.model) as flags:
            arm.model.test_step((x, y))
    except Exception:  # noqa: BLE001  (labels that the loss refuses are judged elsewhere, EQ302)
        return {}
    return flags
