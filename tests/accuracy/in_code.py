"""Faults that are planted in code, where nothing is declared: one arm is given another option than the other."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from cases import ROOT, Case, Cause, Kind
from compatible import why_not

Options = Mapping[str, Any]

_MODULE = (ROOT / "tests" / "accuracy" / "user_code" / "pipelines.py").read_text(encoding="utf-8")
_SPEC = 'version: 1\nbottleneck: {callable: "arms:bottleneck_arm"}\nfrozen: {callable: "arms:frozen_arm"}\n'


@dataclass(frozen=True)
class Planted:
    """A fault in code.

    Attributes:
        cause: What it is.
        frozen: Options of the frozen arm alone.
        bottleneck: Options of the bottleneck arm alone.
        shared: Options of both arms, which change the pipeline but leave it clean.
    """

    cause: Cause
    frozen: Options = field(default_factory=dict)
    bottleneck: Options = field(default_factory=dict)
    shared: Options = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """Every option that it sets, whichever arm's."""
        return {**self.shared, **self.bottleneck, **self.frozen}


def _fault(name: str, *codes: str, also: tuple[str, ...] = (), **options: Options) -> Planted:
    return Planted(Cause(name, codes, also), **options)


UNSHUFFLED = {"shuffle": False}
ONE_HOT_ERRORS = {"labels": "one_hot", "loss": "mean_squared_error"}

#: What is planted, and the codes that name it, the most specific first.
FAULTS: tuple[Planted, ...] = (
    # samples and order
    _fault("some samples are missing", "EQ101", frozen={"data": "short"}),
    _fault("a sequence wraps around", "EQ101", frozen={"loader": "sequence", "habit": "wraps"}, shared=UNSHUFFLED),
    _fault("a data set drops the tail", "EQ102", frozen={"loader": "dataset", "drop": True}, shared=UNSHUFFLED),
    _fault("a sequence of n // 8", "EQ102", frozen={"loader": "sequence", "habit": "drops"}, shared=UNSHUFFLED),
    _fault("arrays not shuffled", "EQ103", frozen={"shuffle": False}),
    _fault("a data set not shuffled", "EQ103", frozen={"loader": "dataset"}),
    _fault("a data set shuffled by itself", "EQ103", "EQ106", frozen={"loader": "reshuffled"}),
    _fault("a sequence shuffled by itself", "EQ103", "EQ106", frozen={"loader": "sequence", "habit": "shuffles"}),
    _fault("sorted and not shuffled", "EQ104", frozen={"data": "sorted", "shuffle": False}),
    _fault("a sorted data set", "EQ104", frozen={"data": "sorted", "loader": "dataset"}),
    _fault("a folder, class by class", "EQ104", frozen={"loader": "directory"}),
    _fault("an ImageDataGenerator, class by class", "EQ104", frozen={"loader": "generator"}),
    _fault("features in another order than labels", "EQ105", bottleneck={"misaligned": "features"}),
    _fault("labels in another order than features", "EQ105", bottleneck={"misaligned": "labels"}),
    _fault(
        "a small shuffle buffer on sorted samples",
        "EQ107",
        "EQ104",
        "EQ103",
        frozen={"loader": "small_buffer", "data": "sorted"},
    ),
    _fault("validated on the training samples", "EQ108", "EQ110", frozen={"validation": "training"}),
    _fault("validated on fewer samples", "EQ110", frozen={"validation": "short"}),
    _fault("features of other weights", "EQ111", bottleneck={"misaligned": "stale"}),
    # preprocessing
    _fault("scaled to [0, 1]", "EQ201", frozen={"scale": "unit"}),
    _fault("raw pixels", "EQ201", frozen={"scale": "none"}),
    _fault("features of raw pixels", "EQ201", bottleneck={"scale": "none"}),
    _fault("blue before red", "EQ207", "EQ201", frozen={"scale": "bgr"}),
    _fault("rescaled twice", "EQ203", "EQ201", frozen={"scale": "twice"}),
    # With a seed of its own it gives one view for ever, and nothing tells whose pictures are the mirrored ones.
    _fault("flipped at random by the data set", "EQ205", "EQ204", frozen={"loader": "mapped"}, shared=UNSHUFFLED),
    _fault("flipped at random by a layer", "EQ205", frozen={"inside": "flip"}),
    # labels and losses
    _fault(
        "binary cross-entropy of one-hot labels",
        "EQ301",
        "EQ603",
        frozen={"labels": "one_hot", "loss": "binary_crossentropy"},
    ),
    _fault("integers for a squared error", "EQ302", frozen={"labels": "sparse"}, shared=ONE_HOT_ERRORS),
    _fault("classes numbered backwards", "EQ303", frozen={"classes": (3, 2, 1, 0)}),
    _fault("two classes swapped", "EQ303", frozen={"classes": (1, 0, 2, 3)}),
    _fault("logits taken for probabilities", "EQ304", also=("EQ506", "EQ702"), frozen={"logits": True}),
    _fault("class weights", "EQ307", "EQ702", frozen={"weighted": True}),
    # layer modes
    _fault("dropout, flat", "EQ401", frozen={"style": "flat"}, shared={"noise": "dropout"}),
    _fault("dropout, nested", "EQ401", shared={"noise": "dropout"}),
    _fault("dropout, subclassed", "EQ401", frozen={"style": "subclassed"}, shared={"noise": "dropout"}),
    _fault("dropout, wrapped", "EQ401", frozen={"style": "wrapped"}, shared={"noise": "dropout"}),
    _fault("dropout, stacked", "EQ401", frozen={"style": "sequential"}, shared={"noise": "dropout"}),
    _fault("spatial dropout", "EQ401", frozen={"style": "flat"}, shared={"noise": "spatial"}),
    _fault("old batch normalisation", "EQ402", shared={"normalisation": "old"}),
    _fault("old batch normalisation, flat", "EQ402", frozen={"style": "flat"}, shared={"normalisation": "old"}),
    _fault(
        "old batch normalisation, subclassed",
        "EQ402",
        frozen={"style": "subclassed"},
        shared={"normalisation": "old"},
    ),
    _fault("old batch normalisation, wrapped", "EQ402", frozen={"style": "wrapped"}, shared={"normalisation": "old"}),
    _fault("drifting batch normalisation", "EQ403", also=("EQ402",), shared={"normalisation": "drifting"}),
    _fault("gaussian noise", "EQ404", frozen={"style": "flat"}, shared={"noise": "gaussian"}),
    _fault(
        "the guide's training=False and dropout",
        "EQ406",
        frozen={"style": "training_false"},
        shared={"noise": "dropout"},
    ),
    # weights
    _fault("nothing frozen", "EQ501", frozen={"freeze": "nothing"}),
    _fault("nothing frozen, flat", "EQ501", frozen={"freeze": "nothing", "style": "flat"}),
    _fault("nothing frozen, subclassed", "EQ501", frozen={"freeze": "nothing", "style": "subclassed"}),
    _fault("frozen by a wrong slice", "EQ501", frozen={"freeze": "wrong_slice"}),
    _fault("one layer back on", "EQ501", frozen={"freeze": "one_back_on"}),
    _fault("batch normalisation back on", "EQ501", frozen={"freeze": "normalisation_back_on"}),
    _fault("frozen too late", "EQ503", "EQ501", frozen={"late": True}),
    _fault("the head frozen as well", "EQ504", also=("EQ502",), frozen={"freeze": "everything"}),
    _fault("another draw of the head", "EQ505", frozen={"head_seed": 8}),
    _fault("one more layer in the head", "EQ506", "EQ502", frozen={"head": "deep"}),
    _fault("dropout in one head", "EQ506", frozen={"head": "dropout"}),
    _fault("other weights of the backbone", "EQ507", frozen={"weights": 2}),
    _fault("pooled otherwise", "EQ508", frozen={"pooling": "max"}),
    # training
    _fault("another optimizer", "EQ601", "EQ703", frozen={"optimizer": "sgd"}),
    _fault("RMSprop for Adam", "EQ601", "EQ703", frozen={"optimizer": "rmsprop"}),
    _fault("another learning rate", "EQ602", "EQ703", frozen={"rate": 0.001}),
    _fault("a hundredth of the learning rate", "EQ602", "EQ703", frozen={"rate": 0.0001}),
    _fault("momentum", "EQ601", "EQ703", frozen={"momentum": 0.9}, shared={"optimizer": "sgd"}),
    _fault("clipped gradients", "EQ606", "EQ601", "EQ703", frozen={"optimizer": "clipped"}),
    _fault("smoothed labels", "EQ603", "EQ702", frozen={"loss": "smoothed"}, shared={"labels": "one_hot"}),
    _fault("a penalty", "EQ506", "EQ603", "EQ702", frozen={"penalty": True}),
    _fault("batches of another size", "EQ604", frozen={"batch": 11}),
    _fault("more epochs", "EQ605", frozen={"epochs": 3}),
    # Keras stops after the second epoch at the earliest, which must not be the last.
    _fault("stopped early", "EQ605", frozen={"callbacks": True}, shared={"epochs": 4}),
    # numerics
    _fault("half precision", "EQ704", frozen={"precision": "mixed"}),
)

#: Options under which some fault shows no more: what a case may not combine, and why.
MASKED_OPTIONS: dict[tuple[str, str], str] = {
    ("loader", "shuffle"): "a data set ignores fit's shuffle",
    ("data", "loader"): "a folder holds all samples",
}

SEED = 7
PAIRS, TRIPLES = 20, 10


def code_case(
    kind: Kind,
    name: str,
    *,
    frozen: Options,
    bottleneck: Options,
    planted: tuple[Cause, ...] = (),
) -> Case:
    """Two arms made by functions, each with its own options."""
    module = (
        f"{_MODULE}\n\ndef bottleneck_arm():\n    return bottleneck(**{dict(bottleneck)!r})\n"
        f"\n\ndef frozen_arm():\n    return frozen(**{dict(frozen)!r})\n"
    )
    return Case(kind, name, planted, files={"spec.yaml": _SPEC, "arms.py": module})


def singles() -> list[Case]:
    """Every fault whose check exists."""
    return [_planted("single", f"{fault.cause.code} in code: {fault.cause.name}", (fault,)) for fault in _known()]


def combined() -> list[Case]:
    """Pairs and triples of faults in code, drawn at random."""
    drawn = random.Random(SEED)  # noqa: S311  (a study, not a secret)
    cases = []
    for size, wanted in ((2, PAIRS), (3, TRIPLES)):
        together = [group for group in combinations(_known(), size) if _together(group)]
        cases += [
            _planted("combined", " + ".join(fault.cause.name for fault in group), group)
            for group in drawn.sample(together, min(wanted, len(together)))
        ]
    return cases


def waiting() -> list[str]:
    """Faults for which no check exists yet."""
    return [f"{fault.cause.name} ({fault.cause.codes[0]})" for fault in FAULTS if fault.cause.code is None]


def _known() -> list[Planted]:
    return [fault for fault in FAULTS if fault.cause.code is not None]


def _planted(kind: Kind, name: str, faults: Sequence[Planted]) -> Case:
    shared: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    for fault in faults:
        shared |= fault.shared
        ours |= fault.bottleneck
        theirs |= fault.frozen
    return code_case(
        kind,
        name,
        frozen={**shared, **theirs},
        bottleneck={**shared, **ours},
        planted=tuple(fault.cause for fault in faults),
    )


def _together(group: Sequence[Planted]) -> bool:
    return why_not(str(fault.cause.code) for fault in group) is None and all(
        _apart(one, other) for one, other in combinations(group, 2)
    )


def _apart(one: Planted, other: Planted) -> bool:
    """Whether neither touches an option of the other, or one that decides about it."""
    mine, others = one.options, other.options
    if one.cause.code == other.cause.code or mine.keys() & others.keys():
        return False
    return not any(
        (first in mine and second in others) or (first in others and second in mine) for first, second in MASKED_OPTIONS
    )
