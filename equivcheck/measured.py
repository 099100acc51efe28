"""What was measured, in the form in which it is reported: plain numbers, one dataclass a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

#: ``source`` makes a difference, ``propagated`` hands one on.
Role = Literal["equal", "source", "propagated"]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far one layer's outputs are apart between the arms, on identical batches.

    Attributes:
        max_abs: Largest absolute difference, in the unit of the activation.
        max_rel: ``max_abs`` divided by the largest absolute activation of the bottleneck arm.
        cosine: Cosine of the two flattened outputs; 1.0 where they are equal.
        mean_abs: Mean absolute difference, in the unit of the activation.
        beyond: Share of the elements that ``noise`` as both tolerances of ``np.allclose`` would refuse; for integers
            and text, the share that is unequal.
        tolerance: Smallest ``t`` for which ``np.allclose(other, reference, rtol=t, atol=t)`` holds.
        noise: Relative difference that one rounding explains in the activation's type; 0 for integers and text.
        floor: Noise floor of this layer, relative as ``max_rel``: how far its output moves when the input of the model
            is changed by one rounding; or the layer's own input, where that is equal to the last bit in both models.
            None where it was not measured, because nothing differs.
    """

    max_abs: float
    max_rel: float
    cosine: float
    mean_abs: float = 0.0
    beyond: float = 0.0
    tolerance: float = 0.0
    noise: float = 1e-5
    floor: float | None = None

    @property
    def bit_equal(self) -> bool:
        """Whether no element differs."""
        return self.max_abs == 0

    @property
    def multiple(self) -> float | None:
        """``max_rel`` as a multiple of the noise floor; None where there is no floor, or it is exactly 0."""
        return self.max_rel / self.floor if self.floor else None


@dataclass(frozen=True, slots=True)
class TrainingFlag:
    """The ``training`` value that a layer received in each phase; None where it received none."""

    fit: bool | None = None
    evaluate: bool | None = None
    predict: bool | None = None


@dataclass(frozen=True, slots=True)
class LayerGap:
    """One aligned pair of layer calls in one mode.

    Attributes:
        name: Full path: the second model's, or the first's where the second has no such layer.
        kind: Keras class name.
        a: Path in the first model, or None where it has no such layer.
        b: Path in the second model, or None where it has no such layer.
        distance: How far the outputs are apart; None where they cannot be compared.
        role: ``source`` makes a difference: its inputs agree, or it was fed the other model's input, and its output
            still differs. ``propagated`` hands one on. None where nothing was compared.
        undone_by: The layer behind which this layer's difference is gone, on every way to the model's outputs.
        nonfinite: Which of the two models' outputs hold NaN or infinity.
        reason: Why nothing was compared; empty where it was.
        flags: The ``training`` value that the layer received, by model.
        stochastic: Whether two passes of ``fit`` on one input differ, by model.
        batch_dependent: Whether a sample's output in ``fit`` depends on its batch mates, by model.
    """

    name: str
    kind: str
    a: str | None
    b: str | None
    distance: Distance | None = None
    role: Role | None = None
    undone_by: str | None = None
    nonfinite: tuple[bool, bool] = (False, False)
    reason: str = ""
    flags: tuple[TrainingFlag, TrainingFlag] = (TrainingFlag(), TrainingFlag())
    stochastic: tuple[bool, bool] = (False, False)
    batch_dependent: tuple[bool, bool] = (False, False)


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer of the aligned pair.

    Attributes:
        name: Full path, the same in both arms after alignment, such as ``backbone/mixed0/conv``.
        kind: Keras class name.
        bottleneck: Path in the bottleneck arm, or None where it has no such layer.
        frozen: Path in the frozen arm, or None where it has no such layer.
        inference: Distance in inference mode; None where the layer is not in both arms.
        training: Distance as each arm runs the layer under ``fit``.
        training_flag: What the layer received in the frozen arm.
        stochastic: Two training passes on the same input differ (frozen arm).
        batch_dependent: A sample's output under ``fit`` depends on its batch mates (frozen arm).
        trainable: The layer's weights are declared trainable (frozen arm).
        moved: One real training step changed a variable of this layer (frozen arm).
        role: ``source`` makes a difference, ``propagated`` hands one on; as in fit, or inference where equal in fit.
            None for a layer that was not compared: it is in one arm only, its outputs have other shapes, or the arms'
            samples could not be matched.
        undone_by: The layer behind which this layer's difference is gone again, in the mode that ``role`` is about.
    """

    name: str
    kind: str
    bottleneck: str | None
    frozen: str | None
    inference: Distance | None
    training: Distance | None
    training_flag: TrainingFlag
    stochastic: bool
    batch_dependent: bool
    trainable: bool
    moved: bool
    role: Role | None
    undone_by: str | None = None


@dataclass(frozen=True, slots=True)
class FirstDivergence:
    """Full path of the first layer, in execution order, whose outputs differ; None where none does."""

    inference: str | None = None
    training: str | None = None


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Scalar weights of one arm's network, backbone and head together.

    Attributes:
        trainable: Declared trainable.
        frozen: Declared not trainable, normalisation statistics included.
        moved: Scalars in variables that one real training step changed.
    """

    trainable: int
    frozen: int
    moved: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one training, a value an epoch.

    Attributes:
        arm: ``bottleneck``, ``frozen``, ``repaired``, or the code of a counterfactual.
        metric: ``accuracy``, ``loss``, ``val_accuracy`` or ``val_loss``; accuracies lie in [0, 1].
        values: One value per epoch.
    """

    arm: str
    metric: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """One phase of the training.

    Attributes:
        name: Its name in the spec.
        bottleneck: Epochs that the bottleneck arm was trained for in it; null where it has no such phase, or was not
            trained.
        frozen: The same of the frozen arm.
        trainable: Scalars of the frozen arm's network that are trained in it.
        moved: Scalars of it that one real training step changed.
        batch_statistics: Layers of the frozen arm's backbone that normalise by the batch in it.
        first_divergence: First layers whose outputs differ in it, on identical batches and equal weights.
    """

    name: str
    bottleneck: int | None
    frozen: int | None
    trainable: int
    moved: int
    batch_statistics: int
    first_divergence: FirstDivergence


class Share(TypedDict):
    """What one cause makes of the gap, in the unit of the metric.

    Attributes:
        code: Code of the finding.
        share: Mean over the repetitions; interactions with other causes are contained in it.
        low: Lower end of its 95 % confidence interval; null of fewer than three repetitions.
        high: Upper end.
        alone: What the cause makes where it is the only one (break-one); null where that was not replayed.
        repaired: What goes away where it alone is repaired (repair-one); null where that was not replayed.
    """

    code: str
    share: float
    low: float | None
    high: float | None
    alone: float | None
    repaired: float | None


class Interaction(TypedDict):
    """What several causes make together beyond what each makes alone; contained in their shares.

    Attributes:
        codes: Codes of the findings.
        share: In the unit of the metric; negative where the causes hide each other.
    """

    codes: list[str]
    share: float


class CurveShares(TypedDict):
    """The gap of one curve, divided.

    Attributes:
        metric: Such as ``val_accuracy``.
        gap: Frozen minus bottleneck, in percentage points for accuracies.
        shares: By code.
        residual: What no cause explains.
    """

    metric: str
    gap: float
    shares: Mapping[str, float]
    residual: float


class Attribution(TypedDict):
    """How the gap divides among the causes: all shares and the residual add up to the gap.

    Attributes:
        metric: The metric whose final value was attributed, such as ``val_accuracy``: of the four curves the one whose
            gap is largest against its noise.
        gap: Frozen minus bottleneck, in percentage points for accuracies; mean over the repetitions.
        shares: One entry a cause.
        interactions: One entry a pair of causes that act together by more than the noise.
        residual: What is left when every cause is repaired, and so what no cause explains.
        repetitions: Trainings with other seeds that everything above is the mean of.
        smallest: Codes of the fewest causes whose repair closes the gap; null where no set does, or it is not known.
        curves: The same division for every curve.
        missing: What was not replayed, and why; empty where nothing is missing.
    """

    metric: str
    gap: float
    shares: list[Share]
    interactions: list[Interaction]
    residual: float
    repetitions: int
    smallest: list[str] | None
    curves: list[CurveShares]
    missing: str


class WhatIf(TypedDict):
    """What came of following one advice.

    Attributes:
        advice: What was advised, in words.
        source: Who advised it; empty where that is not said.
        patch: What it changes in the spec.
        metric: The metric that its effect is told in.
        gap: Frozen minus bottleneck as declared, in percentage points for accuracies; mean over the repetitions.
        gap_then: The same where the advice is followed.
        bottleneck: Final value of the bottleneck arm then; mean over the repetitions.
        frozen: Final value of the frozen arm then.
        frozen_declared: The same as declared.
        closed: By how much the gap is smaller then, in the gap's unit; negative where it is larger.
        low: Lower end of the 95 % confidence interval of ``closed``; null below three repetitions.
        high: Its upper end.
        effect: What that comes to. ``none``: not beyond chance, or one sample; ``unknown``: see ``missing``.
        gone: Codes of the errors that are found as declared, and no longer where the advice is followed.
        new: Codes of the errors that are found only then.
        repetitions: Trainings with other seeds that all of this is the mean of.
        missing: What was not tried, and why; empty where nothing is missing.
    """

    advice: str
    source: str
    patch: Mapping[str, Any]
    metric: str
    gap: float | None
    gap_then: float | None
    bottleneck: float | None
    frozen: float | None
    frozen_declared: float | None
    closed: float | None
    low: float | None
    high: float | None
    effect: Literal["helps", "none", "worse", "unknown"]
    gone: list[str]
    new: list[str]
    repetitions: int
    missing: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the side-by-side table.

    Attributes:
        name: What it is, such as ``order of samples``.
        bottleneck: What the bottleneck arm did, as text.
        frozen: What the frozen arm did, as text.
        differs: Whether the two differ.
    """

    name: str
    bottleneck: str
    frozen: str
    differs: bool


def curves_equal(curves: Sequence[Curve], one: str, other: str) -> bool:
    """Whether two arms have the same curves, to the last bit; NaN equals NaN."""
    # repr gives every float's exact value, and one word for all NaN.
    values = {(curve.arm, curve.metric): repr(curve.values) for curve in curves}
    metrics = {curve.metric for curve in curves if curve.arm in {one, other}}
    return all(values.get((one, metric)) == values.get((other, metric)) for metric in metrics)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a file says that is on no curve.

    Attributes:
        first: Line of the file, counted from 1.
        last: The last of several such lines.
        why: What it is.
    """

    first: int
    last: int
    why: str


@dataclass(frozen=True, slots=True)
class ObservedLog:
    """The curves of one training that the user already has, as a file tells them.

    Attributes:
        source: Name of the file.
        format: What kind of file it is.
        epochs: Numbers of the epochs that it tells of, counted from 1; some may be left out.
        metrics: ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy`` and others; one value for each of ``epochs``,
            NaN where there is none.
        rounding: The same, with the largest error that each value may have because of how it was printed.
        steps: Lengths of the training's progress bars, each once: batches, or samples in older versions of Keras.
        seconds: Wall-clock seconds of each epoch, NaN where they are not told.
        planned_epochs: Epochs that were asked for; None where that is not told.
        training_samples: Training samples that the file speaks of.
        validation_samples: Validation samples that the file, or the user, speaks of.
        left_out: What the file says beside its curves; of several files, with their names.
    """

    source: str
    format: Literal["console", "csv", "history"]
    epochs: tuple[int, ...]
    metrics: Mapping[str, tuple[float, ...]]
    rounding: Mapping[str, tuple[float, ...]]
    steps: tuple[int, ...] = ()
    seconds: tuple[float, ...] = ()
    planned_epochs: int | None = None
    training_samples: int | None = None
    validation_samples: int | None = None
    left_out: tuple[LeftOut, ...] = ()
