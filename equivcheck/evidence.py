"""All that a check may look at: frozen dataclasses and NumPy arrays, no live object.

Arrays are indexed by *sample number*: the row of a sample in its split as it was loaded. The number of one sample is
the same in both arms wherever ``Evidence.matched`` is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from equivcheck.findings import ArmName
from equivcheck.measured import FirstDivergence, LayerRow, ObservedLog, ParameterCount, TrainingFlag

if TYPE_CHECKING:  # ``explain`` reads a check's words, and with them this file: NumPy would take most of its time
    import numpy as np
    import numpy.typing as npt

    from equivcheck.diff.affine import AffineMap
    from equivcheck.diff.image_gap import ImageGap

Region = Literal["augmentation", "backbone", "head"]
Encoding = Literal["sparse", "one_hot", "binary", "other"]
Currency = Literal["probabilities", "logits"]


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """One call of one layer in one arm, as ``fit`` runs it.

    Attributes:
        path: Full path in its own arm.
        kind: Keras class name.
        region: Part of the network.
        shape: Output shape, batch axis included.
        weights: Shapes of the layer's own variables, seed states left out.
        trainable: The layer's ``trainable`` flag.
        flag: The ``training`` value received in each phase.
        stochastic: Two runs of the layer in fit mode on one input differ.
        dropped: Share of the non-zero inputs that came out as zero in fit mode; 0 where none did.
        noise: Largest difference between those two runs, relative to the largest output.
        mode_gap: Largest relative difference between fit mode and inference mode on one input; 0 where it has none.
        batch_gap: The same between a sample among these mates and among others, in fit mode.
        composite: It has sub-layers, which are listed themselves.
        dtype: NumPy type name of its output.
        settings: Its configuration as text, without names, seeds, initialisers, penalties; empty where it tells none.
    """

    path: str
    kind: str
    region: Region
    shape: tuple[int | None, ...]
    weights: tuple[tuple[int, ...], ...]
    trainable: bool
    flag: TrainingFlag
    stochastic: bool = False
    dropped: float = 0.0
    noise: float = 0.0
    mode_gap: float = 0.0
    batch_gap: float = 0.0
    composite: bool = False
    dtype: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VariableTrace:
    """One variable across one real training step of ``fit``.

    Attributes:
        path: Full path of its layer, a slash, and its name.
        layer: Full path of its layer.
        region: Part of the network.
        size: Scalars in it.
        trainable: Declared trainable: it is among ``model.trainable_variables``.
        statistic: Not a weight that an optimizer would update, but a moving statistic.
        change: Largest absolute change; 0 where the step did not move it.
        wanted: A step that is traced afresh computes a gradient for it that is not 0; False where that was not asked.
    """

    path: str
    layer: str
    region: Region
    size: int
    trainable: bool
    statistic: bool
    change: float
    wanted: bool = False


@dataclass(frozen=True, slots=True)
class OrderTrace:
    """What a real iterator gave, pass by pass.

    Attributes:
        samples: Per pass, the sample numbers in the order they came; -1 for a sample that could not be identified.
        labels: Per pass, the class index of each, as the arm's own labels say.
        batches: Per pass, the size of each batch.
        available: Samples in the split, where that is known.
        weights: Per pass, what ``train_step`` was told to weight each sample by; None where nothing was said.
        label_columns: Columns of the labels as yielded; 1 for one number a sample.
        ids: Digest of each sample of the first pass, as ``fit`` is given it.
        classes: Class names of this split's own encoder, in index order; empty where there are none.
    """

    samples: tuple[npt.NDArray[np.int64], ...]
    labels: tuple[npt.NDArray[np.int64], ...]
    batches: tuple[tuple[int, ...], ...]
    available: int | None
    weights: tuple[npt.NDArray[np.float64], ...] | None = None
    label_columns: int = 1
    ids: tuple[bytes, ...] = ()
    classes: tuple[str, ...] = ()

    def by_sample(self) -> dict[int, int]:
        """The class index that each known sample of the first pass came with."""
        pairs = zip(self.samples[0], self.labels[0], strict=True)
        return {int(sample): int(label) for sample, label in pairs if sample >= 0}


@dataclass(frozen=True, slots=True)
class ScalingTrace:
    """A layer in front of the first kernel that only scales and shifts values.

    Attributes:
        layer: Full path.
        scale: Largest factor of its channels.
        low: Smallest value that it received.
        high: Largest value that it received.
    """

    layer: str
    scale: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ImageTrace:
    """What became of an arm's training images before and between epochs.

    Attributes:
        changing: Share of the samples whose pixels differ from one epoch to the next, as the iterator yields them.
        redrawn: Share of the probe images that are not what the arm's own preprocessing makes of the raw samples: they
            were changed before they were stored. None for an arm from the user's code.
        alters_input: The user's preprocessing function changes the array that it is given; None where there is none.
        overwritten: Building the other arm changed the array that this arm's images lie in.
        again: How the images follow from the first ones when the user's function is called again, from another seed;
            None where that was not tried.
    """

    changing: float = 0.0
    redrawn: float | None = None
    alters_input: bool | None = None
    overwritten: bool = False
    again: ImageGap | None = None


@dataclass(frozen=True, slots=True)
class InputTrace:
    """What reaches the first layer that convolves or multiplies.

    Attributes:
        layer: Full path of that layer.
        tensor: ``(n, height, width, channels)`` for the probe samples.
        against_raw: The map from raw pixels to the tensor, where raw pixels are known.
        as_trained: The map that the backbone's weights were trained with, where that is known.
        scalings: Layers of the model on the way there that scale the values.
        supposed: In place of ``against_raw`` where raw pixels are not known: the map from those that the values show.
            Which channel comes first they do not show.
    """

    layer: str
    tensor: npt.NDArray[Any]
    against_raw: AffineMap | None
    as_trained: AffineMap | None
    scalings: tuple[ScalingTrace, ...] = ()
    supposed: AffineMap | None = None

    @property
    def fed(self) -> AffineMap | None:
        """What is done to raw pixels, as far as it is known or can be supposed."""
        return self.supposed if self.against_raw is None else self.against_raw


@dataclass(frozen=True, slots=True)
class LabelTrace:
    """Labels as the loss meets them.

    Attributes:
        shape: Shape of one batch as yielded, batch axis None.
        dtype: Its NumPy type name.
        encoding: ``sparse``, ``one_hot``, ``binary`` or ``other``, read off the values.
        loss: The loss that was compiled, as text.
        outputs: Units of the head's last layer.
        failure: What the loss raised, if it did.
        preferred: For some class indices, the output whose confident prediction the loss rates best; -1: none.
        per_sample: ``(probes,)``: this arm's loss on one shared set of predictions, for the shared probe samples.
        takes: What the loss takes this arm's outputs for; None where it cannot be told or does not matter.
        asked_for: What it would take numbers for of which Keras does not know that they are a softmax's or sigmoid's.
        gives: What the last layer makes of any input; None where it could not be run.
        profile: For some class indices, the loss of a confident prediction of each of them and of an undecided one. The
            predictions are equal in both arms as probabilities, and each loss is given them as what it takes.
        repeat_ratio: Loss of four equal samples in one batch, divided by the loss of one: 1 for a mean, 4 for a sum.
        accuracy: What the compiled accuracy makes of the predictions of ``profile``, as a share; None without one.
        accuracy_rule: The function that Keras resolved it to.
    """

    shape: tuple[int | None, ...]
    dtype: str
    encoding: Encoding
    loss: str
    outputs: int
    failure: str | None
    preferred: Mapping[int, int]
    per_sample: npt.NDArray[np.float64] | None
    takes: Currency | None = None
    asked_for: Currency | None = None
    gives: Currency | None = None
    profile: Mapping[int, npt.NDArray[np.float64]] = field(default_factory=dict)
    repeat_ratio: float | None = None
    accuracy: float | None = None
    accuracy_rule: str = ""


@dataclass(frozen=True, slots=True)
class TrainingTrace:
    """How long an arm's ``fit`` trains and how fast, as its live optimizer and callbacks have it.

    Attributes:
        epochs: Epochs that it is asked for, less those it is told to have done.
        stops: For each way in which the training may go (``nothing improves``, ``val_loss stalls``, ...) the epochs
            after which a callback ends it, where it does; None where the callbacks could not be run.
        rates: ``(2 * epochs,)`` learning rates in the first and the last step of each epoch while everything improves;
            None where they could not be told.
        rates_stalled: The same while nothing improves.
        iterations: Steps that the optimizer has taken before ``fit`` begins.
        callbacks: Class names of the callbacks that can end the training or change the rate.
    """

    epochs: int
    stops: Mapping[str, int] | None
    rates: npt.NDArray[np.float64] | None
    rates_stalled: npt.NDArray[np.float64] | None
    iterations: int
    callbacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredTrace:
    """Stored features of some samples beside what the backbone gives for the images of the same rows.

    Distances are the largest absolute difference, relative to the largest absolute feature.

    Attributes:
        rows: ``(p,)`` the rows that were computed again.
        own: ``(p,)`` distance of each to what is stored in its own row.
        nearest: ``(p,)`` the row whose stored features are nearest to it.
        nearest_distance: ``(p,)`` how far those are.
        stored: Rows that are stored.
        drawn: Called again from another seed, the user's function stores features of these rows that were stored
            nowhere before, of a backbone with the same weights; None where that was not tried.
    """

    rows: npt.NDArray[np.int64]
    own: npt.NDArray[np.float64]
    nearest: npt.NDArray[np.int64]
    nearest_distance: npt.NDArray[np.float64]
    stored: int
    drawn: bool | None = None


@dataclass(frozen=True, slots=True)
class SplitOverlap:
    """How much of one arm's validation data some arm trains on.

    Attributes:
        train: The arm whose training epochs were looked through.
        validation: The arm whose first evaluation was looked at.
        shared: Samples of that evaluation that the training epochs also hold.
        samples: Samples of that evaluation, each counted once.
    """

    train: Literal["bottleneck", "frozen"]
    validation: Literal["bottleneck", "frozen"]
    shared: int
    samples: int

    @property
    def fraction(self) -> float:
        """Shared samples as a share of the validation samples."""
        return self.shared / self.samples if self.samples else 0.0


@dataclass(frozen=True, slots=True)
class RepeatTrace:
    """The same arm, built a second time from the same seed.

    Attributes:
        variables: Weights and statistics that were compared.
        other_variables: Full paths of those that have other values the second time.
        other_data: Its training data, as arrays or as the first epoch of its iterator, are others or in another order.
        rescaled: Arrays of the user's modules whose range each of the two calls changed, as ``module.NAME``: what is
            computed in place goes further with each call.
    """

    variables: int
    other_variables: tuple[str, ...]
    other_data: bool
    rescaled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArmEvidence:
    """What one arm did.

    Attributes:
        layers: Every layer call, in order of execution.
        variables: Every weight and statistic across one training step of ``fit``.
        parameters: Scalars by what became of them.
        train: The training iterator.
        validation: The validation iterator, a pass for each of two evaluations as ``fit`` runs them; or None.
        input: What reaches the first kernel; None where the images are unknown.
        labels: The pair of labels and loss.
        declared_inference: Layers that the model's graph calls with ``training=False`` written out.
        class_names: Class names in index order; indices as text where there are no names.
        optimizer: Class and plain settings of the live optimizer.
        training: How long and how fast it trains; None where there is no optimizer.
        stored: Stored training features against the images; None where there are none or the images are unknown.
        stored_validation: The same of the validation features.
        stepped: A training step of ``fit`` ran; if not, nothing is known of what it would move.
        fitted_before: The model came with a train function that had been traced before.
        repeat: The arm built again; None where a spec alone makes it.
        images: What became of the training images.
    """

    layers: tuple[LayerTrace, ...]
    variables: tuple[VariableTrace, ...]
    parameters: ParameterCount
    train: OrderTrace
    validation: OrderTrace | None
    input: InputTrace | None
    labels: LabelTrace
    declared_inference: tuple[str, ...]
    class_names: tuple[str, ...]
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    training: TrainingTrace | None = None
    stored: StoredTrace | None = None
    stored_validation: StoredTrace | None = None
    stepped: bool = True
    fitted_before: bool = False
    repeat: RepeatTrace | None = None
    images: ImageTrace = field(default_factory=ImageTrace)


@dataclass(frozen=True, slots=True)
class VariableGap:
    """One variable of the head in both arms: its gradient, its update, or a slot that the optimizer keeps for it.

    Attributes:
        path_bottleneck: Full path in the bottleneck arm; for a slot, with the slot's name behind it.
        path_frozen: The same in the frozen arm.
        max_rel: Largest absolute difference. For a gradient, as a multiple of the largest gradient of the whole head;
            else of the largest absolute value of the bottleneck arm's. Infinite where only one arm has it.
        cosine: Cosine of the two as flat vectors; 1.0 where they are equal, 0.0 where one is zero or missing.
        norm_ratio: Euclidean length of the frozen arm's divided by that of the bottleneck arm's.
    """

    path_bottleneck: str
    path_frozen: str
    max_rel: float
    cosine: float
    norm_ratio: float


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """What makes two optimizers move equal heads differently, one thing changed at a time.

    The frozen arm's live optimizer is run on the same gradients with the bottleneck arm's state, learning rate and
    clipping, and without constraints of the weights; then again with one of these its own. Each gap is that of the
    variable or slot that differs most.

    Attributes:
        rule: The two optimizers with all of these equal.
        rate: The frozen arm's with its own learning rate, against it with the bottleneck arm's.
        clipping: The same for the limits that gradients are clipped to.
        scope: The same for what else is handed to the optimizer beside the head's gradients.
    """

    rule: VariableGap
    rate: VariableGap
    clipping: VariableGap
    scope: VariableGap


@dataclass(frozen=True, slots=True)
class UpdateTrace:
    """Training steps of both arms' heads from equal weights, on the same samples and the same features.

    The frozen arm's head is given the bottleneck arm's weights and seed states; the bottleneck arm is fed the features
    that the frozen arm's head received in its step. So nothing in front of the head makes a difference here. Both
    optimizers are then handed the bottleneck arm's gradients, so that an update shows what its optimizer does and not
    what another gradient, or the rounding of one, does.

    Attributes:
        samples: Samples in each step.
        relabelled: Of these, how many have another class index in the frozen arm.
        output_gap: Largest difference of the two models' outputs in the first step, relative to the largest output.
        loss_gap: Largest difference of the loss per sample, each arm's own loss on its own outputs and labels in the
            first step, relative to the largest of them; penalties and weights of samples left out.
        gradients: Per variable of the head, the gradients in the first step.
        updates: Per variable, how far it was moved, in the first step after which the arms' weights differ, else in
            the last one.
        slots: The optimizers' slots after that step.
        equal_steps: Steps after which all weights of the head were still equal; at most ``steps``.
        steps: Most steps that were taken.
        rules: What makes the updates differ; None where they do not, or where the optimizers cannot be taken apart.
        extra_loss: Per arm, what the first step reported as its loss beyond the loss of the samples and the penalties
            on the head's weights; None where a step reports no loss.
        skipped: Steps that the frozen arm's optimizer skips before these, because its scaled gradients overflow.
    """

    samples: int
    relabelled: int
    output_gap: float
    loss_gap: float
    gradients: tuple[VariableGap, ...]
    updates: tuple[VariableGap, ...]
    slots: tuple[VariableGap, ...]
    equal_steps: int
    steps: int
    rules: RuleTrace | None = None
    extra_loss: tuple[float, float] | None = None
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one arm was after its last epoch; measured on the trained weights.

    Attributes:
        epochs: Epochs that it was trained for.
        reported: Training accuracy that ``fit`` told for the last epoch: an average over the steps of the epoch, each
            with the weights of its time, in training mode. None where the model has no accuracy.
        validation: Validation accuracy that it told for the last epoch, if any.
        samples: Training samples that the next two are measured on.
        in_inference: Accuracy on them as ``evaluate`` runs the model.
        in_training: Accuracy on them as ``fit`` runs the model, with the same weights.
        predicted: ``(classes,)`` validation samples by predicted class; None without validation samples.
        actual: ``(classes,)`` the same samples by their label.
        constant: Accuracy that the best constant prediction has on the training samples above.
    """

    epochs: int
    reported: float | None
    validation: float | None
    samples: int
    in_inference: float
    in_training: float
    predicted: npt.NDArray[np.int64] | None
    actual: npt.NDArray[np.int64] | None
    constant: float


@dataclass(frozen=True, slots=True)
class ValueGap:
    """One weight or statistic that both arms have, before any training.

    Attributes:
        path_bottleneck: Full path in the bottleneck arm.
        path_frozen: Full path in the frozen arm.
        layer: Full path of its layer in the frozen arm.
        region: Part of the network.
        size: Scalars in it.
        max_abs: Largest absolute difference, in the unit of the weight; rounding to the coarser of two types left out.
        max_rel: ``max_abs`` as a multiple of the bottleneck arm's largest absolute value.
    """

    path_bottleneck: str
    path_frozen: str
    layer: str
    region: Region
    size: int
    max_abs: float
    max_rel: float


@dataclass(frozen=True, slots=True)
class CutTrace:
    """Where backbone and head meet in either arm, in inference mode.

    Attributes:
        shape_bottleneck: What the first layer of the head that has weights receives for one sample.
        shape_frozen: The same in the frozen arm.
        only_bottleneck: Backbone layers that only this arm has and that change what passes through them.
        only_frozen: The same of the frozen arm.
        idle: Backbone layers that only one arm has and that change nothing: dropout, a Flatten.
        stored: NumPy type name of the stored features.
        feature_gap: Largest difference, on the probe samples, between the stored features and what that layer receives
            in the frozen arm, relative to the largest feature; None where they cannot be compared.
    """

    shape_bottleneck: tuple[int, ...]
    shape_frozen: tuple[int, ...]
    only_bottleneck: tuple[str, ...]
    only_frozen: tuple[str, ...]
    idle: tuple[str, ...] = ()
    stored: str = ""
    feature_gap: float | None = None


@dataclass(frozen=True, slots=True)
class SharedTrace:
    """Variables that the models of both arms hold as one and the same object.

    Attributes:
        variables: Their full paths in the frozen arm's model.
        moved_by_bottleneck: Those that a training step of the bottleneck arm moved.
        moved_by_frozen: Those that a training step of the frozen arm moved.
    """

    variables: tuple[str, ...]
    moved_by_bottleneck: tuple[str, ...]
    moved_by_frozen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PhaseTrace:
    """Which phase of a training in phases was measured: on the weights that the first one began with.

    Attributes:
        name: Its name.
        number: Its place, from 1.
        unfrozen_in: Name of the phase from which on the spec has layers of the frozen arm's backbone trained; empty
            where the backbone is meant to stay frozen.
        recompiled: Whether the arm was compiled for it, by arm.
        steps_before: Steps that the optimizer of the phase before would have taken, by arm; 0 in the first phase.
        epochs_before: Epochs of all phases before, by arm.
        only: The one arm that has this phase; None where both have it.
    """

    name: str
    number: int
    unfrozen_in: str = ""
    recompiled: Mapping[ArmName, bool] = field(default_factory=dict)
    steps_before: Mapping[ArmName, int] = field(default_factory=dict)
    epochs_before: Mapping[ArmName, int] = field(default_factory=dict)
    only: ArmName | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What both arms did, on identical samples.

    Attributes:
        matched: Sample numbers mean the same sample in both arms.
        rows: The aligned layers with their distances.
        input_map: The map from the bottleneck arm's input tensor to the frozen arm's.
        update: A few training steps of both heads; None where they cannot be compared.
        logs: Curves that the user already has, by arm.
        outcome: What training came to, by arm; empty where nothing was trained.
        validation_matched: Sample numbers of the validation iterators mean the same sample in both arms.
        overlaps: Training against validation samples, within an arm and across the arms, where they can be told.
        values: Weights and statistics of the aligned layers.
        cut: Where backbone and head meet; None where the bottleneck arm's backbone is not known.
        shared: Variables that both arms hold; empty where there are none.
        image_gap: How the frozen arm's images follow from the bottleneck arm's, before preprocessing where raw pixels
            are known, else as they reach the first kernel.
        preparation: The map from what the bottleneck arm's preprocessing makes of an image to what the frozen arm's
            does, whatever resize or augmentation made of the pixels; None where no map is known.
        phase: The phase of the training that this is about; None where there is only one.
        recognised: By split, ``training`` or ``validation``, where the samples cannot be told by their images, the
            class indices of those that were recognised by their features: the bottleneck arm's and the frozen arm's.
    """

    bottleneck: ArmEvidence
    frozen: ArmEvidence
    matched: bool
    rows: tuple[LayerRow, ...]
    first_divergence: FirstDivergence
    input_map: AffineMap | None
    update: UpdateTrace | None = None
    logs: Mapping[ArmName, ObservedLog] = field(default_factory=dict)
    outcome: Mapping[ArmName, Outcome] = field(default_factory=dict)
    validation_matched: bool = False
    overlaps: tuple[SplitOverlap, ...] = ()
    values: tuple[ValueGap, ...] = ()
    cut: CutTrace | None = None
    shared: SharedTrace = field(default_factory=lambda: SharedTrace((), (), ()))
    image_gap: ImageGap | None = None
    preparation: AffineMap | None = None
    phase: PhaseTrace | None = None
    recognised: Mapping[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = field(default_factory=dict)

    def arms(self) -> tuple[tuple[Literal["bottleneck", "frozen"], ArmEvidence], ...]:
        """Both arms with their names."""
        return (("bottleneck", self.bottleneck), ("frozen", self.frozen))

    @classmethod
    def of_logs(cls, logs: Mapping[ArmName, ObservedLog]) -> Evidence:
        """What there is where nothing but logs is given; only checks whose subject is ``logs`` can judge it."""
        order = OrderTrace((), (), (), None)
        labels = LabelTrace((), "", "other", "", 0, None, {}, None)
        arm = ArmEvidence((), (), ParameterCount(0, 0, 0), order, None, None, labels, (), ())
        return cls(arm, arm, matched=False, rows=(), first_divergence=FirstDivergence(), input_map=None, logs=logs)
