"""Builds the two arms of an experiment, each as its user would.

The bottleneck arm runs ``predict`` once and fits the head on arrays. The frozen arm puts the head on the backbone,
freezes it, compiles and fits images. Both heads come from the same seed, and ``fit`` starts from the same seed, so
that with nothing different between them the two are equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.arm import Arm, Later, Split
from equivcheck.arms.backbone import Stock, load_network, source_of, up_to_cut
from equivcheck.arms.extraction import Extraction, by_its_step, by_predict
from equivcheck.arms.feature_cache import cached_features
from equivcheck.arms.feeding import fit_arguments, train_feed, validation_feed
from equivcheck.arms.from_code import SEED, arm_from_code
from equivcheck.arms.head import (
    AUGMENTATION_PREFIX,
    apply_layers,
    build_layers,
    check_head,
    head_model,
    units_of,
)
from equivcheck.arms.head_weights import load_head_weights
from equivcheck.arms.inference import InferenceMode
from equivcheck.arms.labels import encode
from equivcheck.arms.legacy import accuracy_of, model_class
from equivcheck.arms.phases import enter, freeze
from equivcheck.arms.preprocessing import preprocess, preprocessing_of_module
from equivcheck.arms.said import refused
from equivcheck.arms.samples import Samples, load_samples
from equivcheck.arms.seeding import set_seeds
from equivcheck.arms.stored_features import read_features
from equivcheck.arms.user_code import call_user_function, user_code
from equivcheck.errors import EquivcheckError, InconclusiveError, InputError, Problem, SpecError
from equivcheck.findings import ArmName
from equivcheck.spec import Experiment
from equivcheck.spec.keras_names import preprocessing_of
from equivcheck.spec.model import ArmSpec, CodeArm, Phase, Training

_SplitName = Literal["train", "validation"]
#: Images of both splits.
_Images = tuple[npt.NDArray[Any], npt.NDArray[Any]]
#: A frozen arm's backbone, and the input and the features that its head is put on.
_Front = tuple[keras.Model, tuple[keras.KerasTensor, keras.KerasTensor]]
#: A bottleneck arm's backbone, and what extracts with it.
_Extractor = tuple[keras.Model, Extraction]


@dataclass(frozen=True, slots=True)
class Base:
    """What the head of an arm is put on: nothing in it is decided by labels, loss, optimizer or order.

    Attributes:
        backbone: The arm's own.
        front: Input and features in the frozen arm's model; None for the bottleneck arm.
        images: Of both splits, as fed to the backbone.
        fed: Of both splits, what ``fit`` is given.
    """

    backbone: keras.Model
    front: tuple[keras.KerasTensor, keras.KerasTensor] | None
    images: _Images
    fed: _Images


@dataclass(frozen=True)
class Builder:
    """Builds arms of one experiment.

    Attributes:
        experiment: The resolved spec.
        cache: Folder of the feature cache, or None.
        stock: Pretrained networks, loaded once.
        loaded: Samples of both splits, read once, by what the spec says of them.
        bases: What arms that share it are built on, by what decides it.
        fronts: The networks of frozen arms among it, which images need not be the same for, by what decides them.
        extractors: The backbones of bottleneck arms, which only ever predict, by what decides them; and how they do.
        prepared: The images of arms that share a base, by what decides them.
        shares: Whether arms are built on one another's base: only where each is restored after its training.
    """

    experiment: Experiment
    cache: Path | None = None
    stock: Stock = field(default_factory=Stock)
    loaded: dict[str, tuple[Samples, Samples]] = field(default_factory=dict, repr=False)
    bases: dict[str, Base] = field(default_factory=dict, repr=False)
    fronts: dict[str, _Front] = field(default_factory=dict, repr=False)
    extractors: dict[str, _Extractor] = field(default_factory=dict, repr=False)
    prepared: dict[str, _Images] = field(default_factory=dict, repr=False)
    shares: bool = False

    @property
    def folder(self) -> Path:
        """Folder of the spec."""
        return self.experiment.document.path.absolute().parent

    def build(self, name: ArmName) -> Arm:
        """One arm, afresh at each call, before the first phase of its training."""
        own = tuple(self.experiment.phases_of(name))
        return self._built(name, own or ("",))

    def build_in_phase(self, name: ArmName, phase: str, leave: Callable[[Arm], None]) -> Arm:
        """One arm, afresh, before a phase of its training, with the weights that it began with.

        Args:
            name: Which arm.
            phase: Which phase. An arm that does not have it goes through it as the other arm does, but for its loss.
            leave: Is given the arm before each phase that does not compile it again.
        """
        phases = self.experiment.phases
        arm = self._built(name, phases[: phases.index(phase) + 1])
        while arm.later:
            upcoming = arm.later[0]
            if not upcoming.recompiles:
                leave(arm)
            arm = upcoming.enter(arm)
        return arm

    def _built(self, name: ArmName, phases: tuple[str, ...]) -> Arm:
        spec = getattr(self.experiment, name)
        if isinstance(spec, CodeArm):
            with self._at(name, "callable"):
                return arm_from_code(spec.callable, name, folder=self.folder)
        key = spec.data.model_dump_json()
        if key not in self.loaded:
            self.loaded[key] = self._samples(name, spec)
        train, validation = self.loaded[key]
        with _computing_in(spec.precision):
            return self._from_spec(name, spec, train, validation, phases)

    def again(self, name: ArmName) -> Arm | None:
        """An arm of the user's code once more, from another seed; None where a spec makes the arm, or it cannot be."""
        spec = getattr(self.experiment, name)
        if not isinstance(spec, CodeArm):
            return None
        try:
            return arm_from_code(spec.callable, name, folder=self.folder, seed=SEED + 1)
        except EquivcheckError:
            return None

    def extractor(self, name: ArmName, most: int) -> tuple[keras.Model, npt.NDArray[Any]]:
        """The backbone of one arm, and some training images as they are fed to it; no feature is extracted.

        Args:
            name: Which arm.
            most: Images at most, spread over the split.

        Raises:
            InconclusiveError: The arm comes from the user's function, which gives no backbone or no images.
        """
        spec = getattr(self.experiment, name)
        if isinstance(spec, CodeArm):
            arm = self.build(name)
            if arm.extractor is None or arm.train.images is None:
                raise InconclusiveError(
                    f"{spec.callable} gives no {'backbone' if arm.extractor is None else 'images'}, so nothing tells "
                    "what the stored features came from"
                )
            return arm.extractor, _spread(arm.train.images, most)
        with self._at(name, "data.train"):
            samples = load_samples(spec.data.train, spec.data, folder=self.folder)
        with self._at(name, "preprocessing"):
            images = preprocess(_spread(samples.pixels, most), spec.preprocessing, folder=self.folder)
        with _computing_in(spec.precision):
            return self._backbone(name, spec), images

    def gives_same(self, name: ArmName, other: Experiment) -> bool:
        """Whether an arm of another experiment would be the same, so that it need not be built again."""
        spec = getattr(self.experiment, name)
        same = bool(spec == getattr(other, name))
        if isinstance(spec, CodeArm):
            return same
        # Stored features also depend on the batch size that they were extracted at, which is the frozen arm's.
        return same and self.extraction_batch_size() == Builder(other).extraction_batch_size()

    def _samples(self, name: ArmName, spec: ArmSpec) -> tuple[Samples, Samples]:
        with self._at(name, "data.train"):
            train = load_samples(spec.data.train, spec.data, folder=self.folder)
        with self._at(name, "data.validation"):
            return train, load_samples(spec.data.validation, spec.data, folder=self.folder, classes=train.classes)

    def _training(self, name: ArmName, spec: ArmSpec, phase: str) -> Training:
        """What goes into compile and fit of one phase."""
        own = self.experiment.phases_of(name)
        if phase in own or not phase:
            return spec.training.in_phase(phase)
        if not own and phase == self.experiment.phases[0]:
            return spec.training
        other = self.experiment.frozen if name == "bottleneck" else self.experiment.bottleneck
        if not isinstance(other, ArmSpec):
            return spec.training
        lent = Phase.model_fields.keys() & Training.model_fields.keys() - {"loss"}
        theirs = other.training.in_phase(phase)
        return spec.training.model_copy(update={key: getattr(theirs, key) for key in lent})

    def _from_spec(
        self, name: ArmName, spec: ArmSpec, train: Samples, validation: Samples, phases: tuple[str, ...]
    ) -> Arm:
        training = self._training(name, spec, phases[0])
        base = self._base(name, spec, train, validation, training)
        backbone, front = base.backbone, base.front
        set_seeds(training.seed, made_by=spec.backbone.callable)
        with self._at(name, "head"):
            head = build_layers(spec.head)
            model = head_model(head, backbone.output_shape[1:]) if front is None else _end_to_end(spec, front, head)
            if spec.head_weights is not None:
                with self._at(name, "head_weights"):
                    load_head_weights(head, spec.head_weights)
            check_head(units_of(model.output_shape), spec.labels, training.loss, len(train.classes))
        if front is not None:
            freeze(spec.backbone.freeze, backbone, model)
        self._enter(name, spec, phases[0], backbone, model)
        with self._at(name, "training.class_weight"):
            fit = fit_arguments(training, train.classes)
        (train_images, validation_images), (x_train, x_validation) = base.images, base.fed
        y_train, y_validation = (encode(split.labels, spec.labels, len(split.classes)) for split in (train, validation))
        with self._at(name, "training.samples_per_epoch"):
            feed = train_feed(x_train, y_train[: len(x_train)], training)

        def entered(arm: Arm, phase: str) -> Arm:
            self._enter(name, spec, phase, backbone, model)
            training = self._training(name, spec, phase)
            with self._at(name, f"training.phases.{phase}.class_weight"):
                fit = fit_arguments(training, train.classes)
            feed = train_feed(x_train, y_train[: len(x_train)], training)
            return replace(arm, train=replace(arm.train, feed=feed), fit=fit, phase=phase, later=arm.later[1:])

        return Arm(
            name=name,
            model=model,
            train=Split(feed, train_images, train, extracted=_is_extracted(name, spec, "train")),
            validation=Split(
                validation_feed(x_validation, y_validation, training),
                validation_images,
                validation,
                extracted=_is_extracted(name, spec, "validation"),
            ),
            fit=fit,
            seed=training.seed,
            extractor=backbone if name == "bottleneck" else None,
            as_trained=self._as_trained(spec),
            made_by=spec.backbone.callable,
            prepare=partial(preprocess, preprocessing=spec.preprocessing, folder=self.folder),
            own_prepare=self._own_prepare(spec),
            phase=phases[0],
            later=tuple(
                Later(phase, self._recompiles(name, phase), partial(entered, phase=phase)) for phase in phases[1:]
            ),
        )

    def _base(self, name: ArmName, spec: ArmSpec, train: Samples, validation: Samples, training: Training) -> Base:
        """What the arm's head is put on: new, or where that is allowed what an arm before was built on.

        Code of the user's may do anything when it is called again, and a phase leaves its backbone with other flags. A
        base that is not shared is not kept: all images of an arm are among it.
        """
        if not self._is_shared(spec):
            return self._new_base(name, spec, train, validation, training)
        key = self._decides_base(name, spec, training)
        if key not in self.bases:
            self.bases[key] = self._new_base(name, spec, train, validation, training)
        return self.bases[key]

    def _is_shared(self, spec: ArmSpec) -> bool:
        return self.shares and spec.backbone.callable is None and not self.experiment.phases

    def _new_base(self, name: ArmName, spec: ArmSpec, train: Samples, validation: Samples, training: Training) -> Base:
        images = self._images(name, spec, train, validation, training)
        if name == "frozen":
            return Base(*self._front(spec, training), images, images)
        backbone, extraction = self._extractor(spec)
        train_images, validation_images = images
        with self._at(name, "augmentation"):
            augmentation = build_layers(spec.augmentation or (), prefix=AUGMENTATION_PREFIX)
            train_images = _augmented(train_images, augmentation, backbone)
        fed = (
            self._features(spec, backbone, extraction, train_images, train, "train"),
            self._features(spec, backbone, extraction, validation_images, validation, "validation"),
        )
        return Base(backbone, None, (train_images, validation_images), fed)

    def _front(self, spec: ArmSpec, training: Training) -> _Front:
        """The frozen arm's network, as shared as its base."""
        if not self._is_shared(spec):
            return self._new_front(spec)
        key = self._decides_network("frozen", spec, training)
        if key not in self.fronts:
            self.fronts[key] = self._new_front(spec)
        return self.fronts[key]

    def _new_front(self, spec: ArmSpec) -> _Front:
        backbone = self._backbone("frozen", spec)
        with self._at("frozen", "augmentation"):
            augmentation = build_layers(spec.augmentation or (), prefix=AUGMENTATION_PREFIX)
        with self._at("frozen", "augmentation" if augmentation else "backbone"):
            return backbone, _up_to_head(spec, backbone, augmentation)

    def _images(self, name: ArmName, spec: ArmSpec, train: Samples, validation: Samples, training: Training) -> _Images:
        """What the backbone is fed, of both splits; of arms that share a base made once for all seeds."""
        key = repr((spec.data, spec.preprocessing, training.drop_remainder and training.batch_size))
        if key in self.prepared:
            return self.prepared[key]
        with self._at(name, "preprocessing"):
            train_images = preprocess(train.pixels, spec.preprocessing, folder=self.folder)
            validation_images = preprocess(validation.pixels, spec.preprocessing, folder=self.folder)
        if training.drop_remainder:
            with self._at(name, "training.drop_remainder"):
                train_images = _whole_batches(train_images, training.batch_size)
        if self.shares and self._own_prepare(spec) is None:  # which may do anything when it is called again
            self.prepared[key] = train_images, validation_images
        return train_images, validation_images

    def _decides_base(self, name: ArmName, spec: ArmSpec, training: Training) -> str:
        """All that decides an arm's base, as text."""
        fed = (spec.data, spec.preprocessing, spec.features, training.drop_remainder, training.batch_size)
        return repr((self._decides_network(name, spec, training), *fed, self.extraction_batch_size()))

    def _decides_network(self, name: ArmName, spec: ArmSpec, training: Training) -> str:
        """All of it that decides its network.

        The seed is that of the backbone's random layers, and what is frozen may be counted from the end of the head.
        """
        parts = (spec.backbone, spec.head, spec.augmentation, spec.data.image_size, spec.data.channels)
        return repr((name, *parts, spec.keras_semantics, spec.precision, training.seed))

    def _recompiles(self, name: ArmName, phase: str) -> bool:
        own = self.experiment.phases_of(name)
        return phase not in own or own[phase].recompile

    def _enter(self, name: ArmName, spec: ArmSpec, phase: str, backbone: keras.Model, model: keras.Model) -> None:
        """Makes a model ready for a phase: what is trained in it, and with what it is compiled."""
        own = self.experiment.phases_of(name).get(phase)
        if own is not None and name == "frozen":
            with self._at(name, f"training.phases.{phase}.unfreeze"):
                enter(own, backbone, model)
        if not self._recompiles(name, phase):
            return
        training = self._training(name, spec, phase)
        with self._at(name, f"training.phases.{phase}.optimizer" if own else "training.optimizer"), refused():
            accuracy = accuracy_of(spec.keras_semantics, training.loss)
            model.compile(optimizer=_optimizer(training), loss=training.loss, metrics=[accuracy])

    def network(self, name: ArmName) -> keras.Model:
        """The network that an arm's backbone is cut from; a user's function makes it afresh at each call."""
        spec = getattr(self.experiment, name)
        with self._at(name, f"backbone.{source_of(spec.backbone)}"):
            return load_network(spec, self.stock, folder=self.folder)

    def _own_prepare(self, spec: ArmSpec) -> Callable[[npt.NDArray[Any]], Any] | None:
        if spec.preprocessing is None or spec.preprocessing.callable is None:
            return None
        return partial(call_user_function, spec.preprocessing.callable, folder=self.folder)

    def _backbone(self, name: ArmName, spec: ArmSpec) -> keras.Model:
        network = self.network(name)
        source = f"backbone.{source_of(spec.backbone)}"
        with self._at(name, source if spec.backbone.cut is None else "backbone.cut"):
            return up_to_cut(network, spec)

    def _extractor(self, spec: ArmSpec) -> _Extractor:
        """A backbone that nothing trains or changes: made once, so that what extracts with it is traced once.

        Not where augmentation follows, whose layers draw their seeds on from where copying a backbone has ended.
        """
        if spec.backbone.callable is not None or spec.augmentation:
            return self._new_extractor(spec)
        size = spec.data.image_size, spec.data.channels
        key = repr((spec.backbone, spec.keras_semantics, spec.precision, spec.training.seed, size))
        if key not in self.extractors:
            self.extractors[key] = self._new_extractor(spec)
        return self.extractors[key]

    def _new_extractor(self, spec: ArmSpec) -> _Extractor:
        backbone = self._backbone("bottleneck", spec)
        return backbone, by_its_step(backbone) if spec.backbone.callable is None else by_predict(backbone)

    def _features(
        self,
        spec: ArmSpec,
        extractor: keras.Model,
        extraction: Extraction,
        images: npt.NDArray[np.float32],
        samples: Samples,
        split: _SplitName,
    ) -> npt.NDArray[Any]:
        given = _given_features(spec, split)
        if given is not None:
            with self._at("bottleneck", f"features.{split}"):
                return read_features(given, len(images), extractor.output_shape[1:])
        batch_size = self.extraction_batch_size()

        def compute() -> npt.NDArray[Any]:
            with user_code(spec.backbone.callable, "predict of the backbone"):
                features = extraction(images, batch_size)
            # NumPy's own formats have no bfloat16; float32 holds each of its values.
            return features if features.dtype.kind == "f" else features.astype(np.float32)

        folder = None if spec.backbone.callable is not None else self.cache
        return cached_features(
            folder, extractor, images, samples.ids[: len(images)], batch_size=batch_size, compute=compute
        )

    def extraction_batch_size(self) -> int:
        """The batch size that the frozen arm trains with: a batch of one runs other kernels than larger ones."""
        spec = next(spec for spec in (self.experiment.frozen, self.experiment.bottleneck) if isinstance(spec, ArmSpec))
        return spec.training.batch_size

    def _as_trained(self, spec: ArmSpec) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None:
        backbone = spec.backbone
        if backbone.trained_with is not None:
            return partial(preprocess, preprocessing=backbone.trained_with, folder=self.folder)
        if backbone.application is None or backbone.weights == "none":
            return None
        return preprocessing_of_module(preprocessing_of(backbone.application))

    @contextmanager
    def _at(self, arm: ArmName, key: str) -> Iterator[None]:
        """Says where in the spec an input stands that turned out to be unusable."""
        try:
            yield
        except SpecError:
            raise
        except (InputError, ValueError, TypeError) as error:
            location = self.experiment.locate(arm, key)
            lines = self.experiment.document.text.splitlines()
            source = lines[location.line - 1] if location.line is not None and location.line <= len(lines) else None
            raise SpecError([Problem(key=key, message=str(error), location=location, source=source)]) from error


def _given_features(spec: ArmSpec, split: _SplitName) -> Any:
    """The stored features that a spec names; None where they are extracted."""
    return None if spec.features is None else getattr(spec.features, split)


def _is_extracted(name: ArmName, spec: ArmSpec, split: _SplitName) -> bool:
    """Whether an arm is fed what its backbone gave here; a backbone of the user's may give something else each time."""
    return name == "bottleneck" and spec.backbone.callable is None and _given_features(spec, split) is None


@contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    """Layers that are made inside get this policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _spread(rows: npt.NDArray[Any], most: int) -> npt.NDArray[Any]:
    spread: npt.NDArray[Any] = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)]
    return spread


def _whole_batches(images: npt.NDArray[np.float32], batch_size: int) -> npt.NDArray[np.float32]:
    """Without the last, smaller batch, as ``predict_generator(n // batch_size)`` left it out."""
    kept = len(images) // batch_size * batch_size
    if kept == 0:
        raise InputError(f"drop_remainder leaves nothing: {len(images)} samples, batches of {batch_size}")
    return images[:kept]


def _up_to_head(
    spec: ArmSpec, backbone: keras.Model, augmentation: list[keras.layers.Layer]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The frozen arm's model as far as the head: its input, and the features that its head is put on."""
    call = spec.backbone.call
    if call == "flat":
        if augmentation:
            raise InputError("augmentation layers need an input in front of the backbone; backbone.call: flat has none")
        return backbone.input, backbone.output
    inputs = keras.Input(backbone.input_shape[1:])
    images = apply_layers(augmentation, inputs)
    _check_taken(images.shape[1:], backbone)
    with refused("the backbone"), user_code(spec.backbone.callable, "calling the backbone"):
        if call == "inference":
            return inputs, InferenceMode(backbone, name="inference_mode")(images)
        return inputs, backbone(images, training=False) if call == "training_false" else backbone(images)


def _end_to_end(
    spec: ArmSpec, front: tuple[keras.KerasTensor, keras.KerasTensor], head: list[keras.layers.Layer]
) -> keras.Model:
    """Backbone and head in one model."""
    inputs, features = front
    return model_class(spec.keras_semantics)(inputs, apply_layers(head, features), name="frozen")


def _optimizer(training: Training) -> keras.optimizers.Optimizer:
    arguments = training.optimizer.arguments
    rate = arguments.get("learning_rate")
    if isinstance(rate, Mapping):
        # Keras itself makes schedules only of what it has written itself, which also names modules.
        arguments["learning_rate"] = schedule = keras.optimizers.schedules.deserialize(rate)
        if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            raise InputError(f"learning_rate: {rate['class_name']} is no schedule of keras.optimizers.schedules")
    return keras.optimizers.get({"class_name": training.optimizer.name, "config": arguments})


def _augmented(
    images: npt.NDArray[np.float32], augmentation: list[keras.layers.Layer], backbone: keras.Model
) -> npt.NDArray[np.float32]:
    """One random draw for the whole set: what a user stores who augments before extracting features."""
    augmented = np.asarray(apply_layers(augmentation, images, training=True), np.float32)
    _check_taken(augmented.shape[1:], backbone)
    return augmented


def _check_taken(shape: tuple[int | None, ...], backbone: keras.Model) -> None:
    """Refuses augmentation that makes other images than the backbone takes: a crop, say."""
    taken = backbone.input_shape[1:]
    if len(shape) != len(taken) or any(want not in {None, size} for want, size in zip(taken, shape, strict=True)):
        raise InputError(f"gives images of shape {shape}; the backbone takes {taken}")
