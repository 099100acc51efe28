"""What a spec may say, version 1: the pydantic models of one arm after the shared keys are merged in.

The file as written is a ``SpecFile``; an arm that comes from a spec is an ``ArmSpec``; one that comes from the user's
own code is a ``CodeArm``. Nothing here opens a file or imports Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    Tag,
    ValidationInfo,
    model_validator,
)

from equivcheck.findings import ArmName
from equivcheck.spec import keras_names
from equivcheck.spec.layers import check_argument, parse_layer, shown, wrong

#: Exclusive keys -> the keys that only mean something beside them.
Kinds = Mapping[str, tuple[str, ...]]


class Model(BaseModel):
    """Base of all spec models: unknown keys are errors, values never change.

    Attributes:
        kinds: Keys of which a resolved arm has exactly one; ``merge.py`` and ``resolve.py`` see to that.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kinds: ClassVar[Kinds] = {}


def _none_word(value: Any) -> Any:
    """YAML's ``none`` is a word; the spec means nothing by it."""
    return None if value == "none" else value


def _beside_the_spec(path: Path, info: ValidationInfo) -> Path:
    """Absolute; ``resolve`` passes the spec's folder as context."""
    if "\0" in str(path):
        raise wrong("is not a path: it contains a NUL character")
    folder: Path = (info.context or {}).get("folder", Path())
    try:
        return (folder / path.expanduser()).absolute()
    except RuntimeError:
        raise wrong(f"is not a path: there is no home folder {path.parts[0]}") from None


def _weights(value: str, info: ValidationInfo) -> str:
    if value == "imagenet" and info.data.get("application") == "inception_v4":
        raise wrong("keras.applications has no weights for inception_v4; write none or the path of a weights file")
    return value if value in {"imagenet", "none"} else str(_beside_the_spec(Path(value), info))


def _pair(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:  # noqa: PLR2004
        raise wrong("is not a pair; write [height, width] in pixels")
    return value


def _name_or_index(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong("is neither the name nor the index of a layer")
    return value


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) < 2 or len(set(names)) < len(names):  # noqa: PLR2004
        raise wrong("must name at least two classes, each once")
    return names


def _whole(value: Any) -> Any:
    """True and 1.0 equal 1, which is all that a Literal asks."""
    if type(value) is not int:
        raise wrong(f"is {shown(value)}, not a whole number")
    return value


def _argument(value: Any) -> Any:
    check_argument(value)
    return value


def _freeze_kind(value: Any) -> str | None:
    if isinstance(value, Mapping | Slice):
        return "slice"
    return "flag" if isinstance(value, bool) else None


def _shuffle(value: Any) -> Any:
    if not isinstance(value, bool | Mapping | Buffer):
        raise wrong(f"is {shown(value)}, not true or false, nor a buffer such as {{buffer: 1000}}")
    return value


def _shuffle_kind(value: Any) -> str:
    return "flag" if isinstance(value, bool) else "buffer"


#: ``module:function``, as in entry points.
CallableName = Annotated[
    str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", examples=["package.module:function"])
]
PositiveInt = Annotated[int, Field(gt=0, strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Argument = Annotated[Any, BeforeValidator(_argument)]
SpecPath = Annotated[Path, AfterValidator(_beside_the_spec)]
ClassNames = Annotated[tuple[str, ...], AfterValidator(_distinct), Field(examples=[["cat", "dog"]])]


class Source(Model):
    """Where one split's samples come from: exactly one of directory, npz, csv and callable."""

    kinds: ClassVar[Kinds] = {"directory": (), "npz": ("image", "label"), "csv": ("image", "label"), "callable": ()}

    directory: SpecPath | None = Field(None, description="Folder with one sub-folder of images per class.")
    npz: SpecPath | None = Field(None, description="NumPy archive with two arrays, images and labels.")
    csv: SpecPath | None = Field(
        None, description="Table with one row per image; image paths resolve against its folder."
    )
    callable: CallableName | None = Field(None, description="Function returning (images, labels).")
    image: str | None = Field(None, description="npz: name of the image array (default x); csv: its column (image).")
    label: str | None = Field(None, description="npz: name of the label array (default y); csv: its column (label).")
    classes: ClassNames | None = Field(None, description="Class names in index order; default: sorted.")


class Resize(Model):
    """How images are brought to ``image_size``."""

    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="How pixels between pixels are found."
    )
    antialias: StrictBool = Field(
        default=True,
        description="true: average when shrinking, as Pillow does; false: not, as image_dataset_from_directory.",
    )


class Data(Model):
    """The samples of both splits and the size that images are read at."""

    train: Source
    validation: Source
    image_size: Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_pair)] = Field(
        description="Height and width in pixels.", examples=[[299, 299]]
    )
    channels: Annotated[Literal[1, 3], BeforeValidator(_whole)] = Field(3, description="1: grey, 3: RGB.")
    classes: ClassNames | None = Field(None, description="Class names in index order for both splits.")
    resize: Resize = Field(default_factory=Resize, description="How images are brought to image_size.")


class Preprocessing(Model):
    """From raw pixels in [0, 255] to what the backbone is fed: rescale, application or callable."""

    kinds: ClassVar[Kinds] = {"rescale": ("offset",), "application": (), "callable": ()}

    rescale: Number | None = Field(None, description="Factor on the pixel values.", examples=[1 / 255])
    offset: Number = Field(0.0, description="Added after rescaling.")
    application: keras_names.PreprocessingModule | None = Field(
        None, description="preprocess_input of that module of keras.applications."
    )
    callable: CallableName | None = Field(None, description="Function from an array (n, h, w, c) to another.")
    channel_order: Literal["rgb", "bgr"] = Field(
        "rgb", description="Order in which the channels come in, before anything else; bgr: as cv2.imread reads them."
    )


class Slice(Model):
    """Layers of the frozen arm's model, as users slice ``model.layers`` or ``base.layers``."""

    layers: Annotated[str, Field(pattern=r"^(-?\d+)?:(-?\d+)?$")] = Field(
        description='Python slice such as ":-2" or "15:".', examples=[":-2", "15:"]
    )
    of: Literal["model", "backbone"] = Field(
        "model", description="Whose layers are counted: those of the whole model, or those of the backbone."
    )

    @property
    def bounds(self) -> slice:
        """The slice itself."""
        start, _, stop = self.layers.partition(":")
        return slice(int(start) if start else None, int(stop) if stop else None)


Freeze = Annotated[
    Annotated[StrictBool, Tag("flag")] | Annotated[Slice, Tag("slice")],
    Discriminator(
        _freeze_kind,
        custom_error_type="spec",
        custom_error_message='is not true, false or a slice such as {layers: ":-2"}',
    ),
]


class Backbone(Model):
    """The pretrained network: exactly one of application, file and callable."""

    kinds: ClassVar[Kinds] = {"application": ("weights",), "file": (), "callable": ()}

    application: keras_names.Application | None = Field(
        None, description="A name in keras.applications, or inception_v4."
    )
    file: SpecPath | None = Field(None, description="A .keras file.")
    callable: CallableName | None = Field(None, description="Function returning a built keras.Model.")
    weights: Annotated[str, AfterValidator(_weights)] = Field(
        "imagenet",
        description="For an application: imagenet, none or the path of a weights file; inception_v4 has no imagenet.",
        validate_default=True,
    )
    cut: Annotated[str | int, BeforeValidator(_name_or_index)] | None = Field(
        None,
        description="Layer whose output is the feature: its name, or its index as in model.layers[index], where "
        "negative ones count from the end and a Sequential does not count its input; default: the last layer.",
    )
    freeze: Freeze = Field(
        default=True,
        description="true: backbone.trainable = False; false: nothing; a slice: only those layers.",
    )
    call: Literal["nested", "flat", "training_false", "inference"] = Field(
        "nested",
        description="How the frozen arm calls it. nested: backbone(x); flat: the head on the backbone's own output; "
        "training_false: backbone(x, training=False); inference: a layer whose call passes training=False.",
    )
    trained_with: Preprocessing | None = Field(
        None, description="Preprocessing that the weights were trained with; known for keras.applications."
    )


class LayerCall(Model):
    """One Keras layer: its snake-case name and its arguments, written ``- dense: {units: 2}``."""

    name: str
    arguments: dict[str, Any]


class Optimizer(Model):
    """A Keras optimizer: its name, and its own arguments beside it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    __pydantic_extra__: dict[str, Argument] = Field(init=False)
    name: keras_names.OptimizerName = Field("rmsprop", description="A name that keras.optimizers.get knows.")

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise wrong(f"is {value!r}, not a mapping; write {{name: {value.lower()}}}")
        return value

    @property
    def arguments(self) -> dict[str, Any]:
        """All keys but the name."""
        return dict(self.model_extra or {})


class EarlyStopping(Model):
    """``keras.callbacks.EarlyStopping``: when ``fit`` ends before its last epoch."""

    monitor: str = Field("val_loss", min_length=1, description="Curve that is watched.")
    patience: Annotated[int, Field(ge=0, strict=True)] = Field(0, description="Epochs to wait for it to improve.")
    min_delta: Annotated[Number, Field(ge=0)] = Field(0.0, description="Least change that is an improvement.")
    mode: Literal["auto", "min", "max"] = Field("auto", description="Whether lower or higher is better.")
    baseline: Number | None = Field(None, description="Value that must be passed to be an improvement.")
    start_from_epoch: Annotated[int, Field(ge=0, strict=True)] = Field(0, description="Epochs before watching.")
    restore_best_weights: StrictBool = Field(default=False, description="End with the weights of the best epoch.")


class Buffer(Model):
    """The shuffle of a tf.data.Dataset, in place of that of ``fit``."""

    buffer: PositiveInt = Field(description="Samples that the next one is drawn from: Dataset.shuffle(buffer).")
    cached: StrictBool = Field(
        default=False, description="true: cache() behind the shuffle, which keeps the first epoch's order for good."
    )


Shuffle = Annotated[
    Annotated[StrictBool, Tag("flag")] | Annotated[Buffer, Tag("buffer")],
    Discriminator(_shuffle_kind),
    BeforeValidator(_shuffle),
]
ClassWeight = dict[str, Annotated[Number, Field(ge=0)]]
_LOSS = "A name that keras.losses.get knows."
_EPOCHS = "Passes over the training samples."
_STOPPING = "The callback of that name; default: none."
_CLASS_WEIGHT = "Weight of each class in the loss, by class name; 1 for the others."
_SHUFFLED = "true: fit shuffles; false: the stored order; {buffer: n}: a tf.data.Dataset shuffles in a buffer."


class Phase(Model):
    """One phase of a training: what is frozen or unfrozen before it, and what differs in its ``compile`` and ``fit``.

    What a phase does not say is as in ``training``. Weights, and what is frozen, go on from the phase before.
    """

    freeze: Freeze | None = Field(None, description="Frozen before this phase; as backbone.freeze.")
    unfreeze: Freeze | None = Field(
        None, description="Trained from this phase on. true: the whole backbone; a slice: only those layers."
    )
    unfreeze_batchnorm: StrictBool = Field(
        default=True,
        description="false: BatchNormalization layers of the backbone stay frozen, and so in inference mode.",
    )
    recompile: StrictBool = Field(
        default=True, description="false: fit goes on with the optimizer, and the traced step, of the phase before."
    )
    optimizer: Optimizer | None = None
    loss: keras_names.Loss | None = Field(None, description=_LOSS)
    epochs: PositiveInt | None = Field(None, description=_EPOCHS)
    shuffle: Shuffle | None = Field(None, description=_SHUFFLED)
    class_weight: ClassWeight | None = Field(None, description=_CLASS_WEIGHT)
    early_stopping: EarlyStopping | None = Field(None, description=_STOPPING)

    @property
    def unfreezes(self) -> bool:
        """Whether something is trained from this phase on."""
        return self.unfreeze is not None and self.unfreeze is not False


PhaseName = Annotated[str, Field(pattern=r"^[^\W\d][\w -]*$")]


class Training(Model):
    """What goes into ``compile`` and ``fit``."""

    optimizer: Optimizer = Field(default_factory=Optimizer)
    loss: keras_names.Loss = Field(description=_LOSS)
    epochs: PositiveInt = Field(10, description=_EPOCHS)
    batch_size: PositiveInt = Field(32, description="Samples per training step.")
    shuffle: Shuffle = Field(default=True, description=_SHUFFLED)
    seed: Annotated[int, Field(ge=0, lt=2**31, strict=True)] = Field(0, description="Set before each training.")
    drop_remainder: StrictBool = Field(
        default=False, description="Drop the last, smaller batch, as n // batch_size steps do."
    )
    class_weight: ClassWeight | None = Field(None, description=_CLASS_WEIGHT, examples=[{"cat": 2.0}])
    early_stopping: EarlyStopping | None = Field(None, description=_STOPPING)
    steps_per_epoch: PositiveInt | None = Field(None, description="As in fit: batches that make an epoch.")
    validation_steps: PositiveInt | None = Field(None, description="As in fit: batches that each evaluation takes.")
    samples_per_epoch: PositiveInt | None = Field(
        None, description="Keras 1: samples that make an epoch of a generator, which wraps around where it has fewer."
    )
    validation_samples: PositiveInt | None = Field(
        None, description="Keras 1: nb_val_samples of a generator, which each evaluation leaves further on."
    )
    phases: dict[PhaseName, Phase] | None = Field(
        None,
        description="Phases by name, one after the other, each from the weights of the one before; default: one.",
        examples=[{"head": {"epochs": 25}, "block5": {"unfreeze": {"layers": "15:"}, "epochs": 100}}],
    )

    def in_phase(self, name: str) -> Training:
        """What goes into ``compile`` and ``fit`` in one phase; one that is not there is as ``training`` itself."""
        phase = (self.phases or {}).get(name)
        own = {} if phase is None else {key: getattr(phase, key) for key in phase.model_fields_set}
        known = {key: value for key, value in own.items() if key in Training.model_fields and value is not None}
        optimizer = own.get("optimizer")
        if optimizer is not None and "name" not in optimizer.model_fields_set:
            arguments = {**self.optimizer.arguments, **optimizer.arguments}
            known["optimizer"] = Optimizer(name=self.optimizer.name, **arguments)
        return self.model_copy(update={**known, "phases": None})


Labels = Literal["sparse", "one_hot", "binary"]
#: How frozen layers behaved; ``"3"`` is today's Keras.
KerasSemantics = Annotated[str, Field(pattern=r"^\d+(\.\d+){0,2}$", examples=["2.1"])]
Precision = Literal["float32", "float64", "mixed_float16", "mixed_bfloat16"]
HeadLayer = Annotated[LayerCall, BeforeValidator(partial(parse_layer, names=keras_names.HEAD))]
AugmentationLayer = Annotated[LayerCall, BeforeValidator(partial(parse_layer, names=keras_names.AUGMENTATION))]


class Features(Model):
    """Bottleneck features that were stored before: .npy, or .npz with an array ``features`` or only one array."""

    train: SpecPath | None = Field(None, description="Training features, a row for each sample of data.train in order.")
    validation: SpecPath | None = Field(None, description="The same for data.validation; default: computed.")


class ArmSpec(Model):
    """One arm, shared keys and its own merged."""

    data: Data
    backbone: Backbone
    head: tuple[HeadLayer, ...] = Field(min_length=1, description="Keras layers on the features, in order.")
    head_weights: SpecPath | None = Field(
        None,
        description="Weights that the head starts from, of one that was trained before: .npz with its arrays in order; "
        "default: drawn from the seed.",
    )
    preprocessing: Annotated[Preprocessing | None, BeforeValidator(_none_word)] = None
    augmentation: Annotated[tuple[AugmentationLayer, ...] | None, BeforeValidator(_none_word)] = Field(
        None, description="Keras layers on the training images, in order; or none."
    )
    labels: Labels = Field("sparse", description="How labels are encoded for the loss.")
    training: Training
    keras_semantics: KerasSemantics | None = Field(
        None, description="How frozen layers behaved in that version of Keras; default: the installed one."
    )
    features: Features | None = Field(
        None, description="bottleneck only: features that are on disk already; default: the backbone computes them."
    )
    precision: Precision = Field(
        "float32", description="Number type of weights and activations; mixed: the activations' is half as wide."
    )


class CodeArm(Model):
    """One arm that comes from the user's own code."""

    callable: CallableName = Field(description="Function returning the arm; see equivcheck.arms.protocol.")


def _logs_kind(value: Any) -> str:
    return "files" if isinstance(value, list | tuple) else "file"


#: A file, or one for each phase of the training.
Logs = Annotated[
    Annotated[SpecPath, Tag("file")] | Annotated[tuple[SpecPath, ...], Field(min_length=1), Tag("files")],
    Discriminator(_logs_kind),
]


class Observed(Model):
    """Curves that the user already has: a console log, a CSVLogger file or a history as JSON."""

    bottleneck: Logs | None = None
    frozen: Logs | None = None
    validation_samples: PositiveInt | None = Field(
        None, description="Validation samples that the curves were computed on, where the files do not say."
    )

    @property
    def files(self) -> dict[ArmName, tuple[Path, ...]]:
        """The files of each arm that has any, in order."""
        files: dict[ArmName, Path | tuple[Path, ...] | None] = {"bottleneck": self.bottleneck, "frozen": self.frozen}
        return {
            arm: (given,) if isinstance(given, Path) else given for arm, given in files.items() if given is not None
        }


class Advice(Model):
    """Something that somebody advised: a patch of this spec, which is tried, and its effect on the gap told."""

    advice: str = Field(min_length=1, description="What was advised, in words.", examples=["freeze the layers"])
    patch: dict[str, Any] = Field(
        min_length=1,
        description="What it changes: dotted keys of this spec and their values; null removes a key.",
        examples=[{"backbone.cut": "avg_pool"}, {"frozen.training.batch_size": 24}],
    )
    source: Annotated[str, Field(min_length=1, description="Who advised it, and where.")] | None = None


class SpecFile(ArmSpec):
    """A whole file as written; each arm's section may hold the same keys again, none of them required."""

    version: Annotated[Literal[1], BeforeValidator(_whole), Field(description="Version of this format.")]
    name: Annotated[str, Field(min_length=1, description="Name of the experiment; default: the file's.")] | None = None
    observed: Observed | None = Field(None, description="Curves that you already have.")
    bottleneck: dict[str, Any] | None = Field(None, description="What differs in the bottleneck arm.")
    frozen: dict[str, Any] | None = Field(None, description="What differs in the frozen arm.")
    what_if: tuple[Advice, ...] | None = Field(None, description="Advice to try, each on its own.")
