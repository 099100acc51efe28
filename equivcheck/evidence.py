"""All that a check may look at: frozen dataclasses and NumPy arrays, no live object.

Arrays are indexed by *sample number*: the row of a sample in its split as it was loaded. The number of one sample is
the same in both arms wherever ``Evidence.matched`` is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from equivcheck.measured import FirstDivergence, LayerRow, ParameterCount, TrainingFlag

if TYPE_CHECKING:  # ``explain`` reads a check's words, and with them this file: NumPy would take most of its time
    import numpy as np
    import numpy.typing as npt

    from equivcheck.diff.affine import AffineMap
    from equivcheck.diff.image_gap import ImageGap

Region = Literal["augmentation", "backbone", "head"]
Encoding = Literal["sparse", "one_hot", "binary", "other"]


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
    """

    path: str
    layer: str
    region: Region
    size: int
    trainable: bool
    statistic: bool
    change: float


@dataclass(frozen=True, slots=True)
class OrderTrace:
    """What a real iterator gave, pass by pass.

    Attributes:
        samples: Per pass, the sample numbers in the order they came; -1 for a sample that could not be identified.
        labels: Per pass, the class index of each, as the arm's own labels say.
        batches: Per pass, the size of each batch.
        available: Samples in the split, where that is known.
    """

    samples: tuple[npt.NDArray[np.int64], ...]
    labels: tuple[npt.NDArray[np.int64], ...]
    batches: tuple[tuple[int, ...], ...]
    available: int | None


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
    """

    layer: str
    tensor: npt.NDArray[Any]
    against_raw: AffineMap | None
    as_trained: AffineMap | None
    scalings: tuple[ScalingTrace, ...] = ()


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
    """

    shape: tuple[int | None, ...]
    dtype: str
    encoding: Encoding
    loss: str
    outputs: int
    failure: str | None
    preferred: Mapping[int, int]
    per_sample: npt.NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class ArmEvidence:
    """What one arm did.

    Attributes:
        layers: Every layer call, in order of execution.
        variables: Every weight and statistic across one training step of ``fit``.
        parameters: Scalars by what became of them.
        train: The training iterator.
        validation: The validation iterator, or None.
        input: What reaches the first kernel; None where the images are unknown.
        labels: The pair of labels and loss.
        declared_inference: Layers that the model's graph calls with ``training=False`` written out.
        class_names: Class names in index order; indices as text where there are no names.
        optimizer: Class and plain settings of the live optimizer.
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


@dataclass(frozen=True, slots=True)
class Evidence:
    """What both arms did, on identical samples.

    Attributes:
        matched: Sample numbers mean the same sample in both arms.
        rows: The aligned layers with their distances.
        input_map: The map from the bottleneck arm's input tensor to the frozen arm's.
        update: A few training steps of both heads; None where they cannot be compared.
        image_gap: How the frozen arm's images follow from the bottleneck arm's, before preprocessing where raw pixels
            are known, else as they reach the first kernel.
        preparation: The map from what the bottleneck arm's preprocessing makes of an image to what the frozen arm's
            does, whatever resize or augmentation made of the pixels; None where no map is known.
    """

    bottleneck: ArmEvidence
    frozen: ArmEvidence
    matched: bool
    rows: tuple[LayerRow, ...]
    first_divergence: FirstDivergence
    input_map: AffineMap | None
    update: UpdateTrace | None = None
    image_gap: ImageGap | None = None
    preparation: AffineMap | None = None

    def arms(self) -> tuple[tuple[Literal["bottleneck", "frozen"], ArmEvidence], ...]:
        """Both arms with their names."""
        return (("bottleneck", self.bottleneck), ("frozen", self.frozen))
