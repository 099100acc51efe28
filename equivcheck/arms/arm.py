"""One arm as live objects, ready for ``fit``; where it came from no longer matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from equivcheck.arms.samples import Samples
from equivcheck.arms.wrapping import WrappingBatches
from equivcheck.findings import ArmName


@dataclass(frozen=True, slots=True)
class Feed:
    """One split as it is passed to ``fit``.

    Attributes:
        x: Array, tf.data.Dataset, PyDataset or any iterable that Keras takes.
        y: Labels as encoded for the loss; None where ``x`` yields them itself.
        sample_weight: As in ``fit``.
        stored: ``(n, ...)`` what ``x`` draws its samples from, row by row, where ``x`` is no array and that is known.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    stored: npt.NDArray[Any] | None = None

    @property
    def arrays(self) -> bool:
        """Whether the split lies in memory as arrays, row by row."""
        return self.y is not None

    @property
    def rows(self) -> npt.NDArray[Any] | None:
        """``(n, ...)`` the samples in the order in which they are stored; None where that is unknown."""
        return np.asarray(self.x) if self.arrays else self.stored

    @property
    def begins_anew(self) -> bool:
        """Whether each training can be given the same batches: arrays, and generators that are known."""
        return self.arrays or isinstance(self.x, WrappingBatches)

    @property
    def table(self) -> tuple[Any, Any]:
        """Samples and labels, row by row, of a split that begins anew."""
        return (self.x.x, self.x.y) if isinstance(self.x, WrappingBatches) else (self.x, self.y)

    def anew(self) -> Feed:
        """The split as it stands before any training, where it begins anew."""
        return replace(self, x=self.x.anew()) if isinstance(self.x, WrappingBatches) else self

    def as_tuple(self) -> Any:
        """What ``validation_data`` takes."""
        if not self.arrays:
            return self.x
        return (self.x, self.y) if self.sample_weight is None else (self.x, self.y, self.sample_weight)


@dataclass(frozen=True, slots=True)
class Split:
    """One split of one arm.

    Attributes:
        feed: What ``fit`` is given.
        images: ``(n, height, width, channels)`` as fed to the backbone, row by row of ``feed``; None where unknown.
        samples: The raw samples behind those rows; None for an arm from the user's code.
        lent: The user's own array that ``images`` is a copy of; None where nothing else could change it.
        extracted: The rows of ``feed`` are what the arm's own backbone gave for ``images`` when the arm was built.
    """

    feed: Feed
    images: npt.NDArray[Any] | None = None
    samples: Samples | None = None
    lent: npt.NDArray[Any] | None = None
    extracted: bool = False


@dataclass(frozen=True, slots=True)
class Later:
    """A phase of a training that follows another.

    Attributes:
        name: Its name.
        recompiles: Whether the model is compiled for it; if not, fit goes on with optimizer and step as they are.
        enter: Takes the arm as the phase before leaves it. Its model is the same object, with other flags.
    """

    name: str
    recompiles: bool
    enter: Callable[[Arm], Arm]


@dataclass(frozen=True, slots=True)
class Arm:
    """One of the two pipelines.

    Attributes:
        name: ``bottleneck`` or ``frozen``.
        model: The compiled model that ``fit`` trains.
        train: Training split.
        validation: Validation split, or None.
        fit: Further arguments of ``fit``.
        seed: Set for Python, NumPy and TensorFlow right before ``fit``.
        extractor: The backbone whose stored output ``model`` is trained on; None for the frozen arm.
        as_trained: From raw pixels to what the backbone's weights were trained on; None where that is unknown.
        made_by: ``module:function`` of the user's that made the arm or its backbone; None where a spec says it all.
        prepare: From raw pixels to what the backbone is fed, augmentation left out; None for an arm from code.
        own_prepare: The user's own function of it, given no copy; None where the preprocessing is not the user's.
        rescaled: Arrays of the user's modules whose range changed while the user's function made the arm, by
            ``module.NAME``.
        phase: Name of the phase that it stands before, for a training in phases.
        later: The phases behind that one.
    """

    name: ArmName
    model: keras.Model
    train: Split
    validation: Split | None
    fit: Mapping[str, Any]
    seed: int
    extractor: keras.Model | None = None
    as_trained: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None
    made_by: str | None = None
    prepare: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None
    own_prepare: Callable[[npt.NDArray[Any]], Any] | None = None
    rescaled: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    phase: str = ""
    later: tuple[Later, ...] = ()

    @property
    def network(self) -> tuple[keras.Model, ...]:
        """The models that an image passes through, in order."""
        return (self.model,) if self.extractor is None else (self.extractor, self.model)

    @property
    def begins_anew(self) -> bool:
        """Whether all its data begin anew in every training; a dataset goes on from where it was left."""
        return all(split.feed.begins_anew for split in (self.train, self.validation) if split is not None)
