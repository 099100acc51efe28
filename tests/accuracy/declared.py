"""Faults that are planted by patches of a spec: each check's own, on several bases, and several at once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from cases import Case, Cause
from compatible import both_fit, brought, fits, why_not

from equivcheck.catalog import all_checks
from equivcheck.check import Check
from equivcheck.findings import Patch

#: Clean pipelines that faults are planted in, as patches of the clean fixture.
BASES: dict[str, Patch] = {
    "inception": {},
    "vgg": {
        "backbone.file": "../backbones/vgg_small.keras",
        "backbone.cut": "flatten",
        "backbone.trained_with": {"rescale": 1 / 255},
        "preprocessing": {"rescale": 1 / 255},
    },
    "flat call": {"frozen.backbone.call": "flat"},
    "one-hot labels": {"labels": "one_hot", "training.loss": "categorical_crossentropy"},
    "dropout in the head": {
        "head": [{"dropout": {"rate": 0.3}}, {"dense": {"units": 5, "activation": "softmax"}}],
        "training.optimizer": {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    },
    "mixed order, batches of 20": {
        "data.train": {"csv": "../digits/target/train_mixed.csv"},
        "training.batch_size": 20,
    },
    "inference call": {"frozen.backbone.call": "inference"},
}
#: Bases a check is tried on at most.
MOST_BASES = 2

#: Base and code of a fault that this base does not let happen, and why.
UNFIT: dict[tuple[str, str], str] = {
    ("vgg", "EQ402"): "the network has no BatchNormalization",
    ("vgg", "EQ403"): "the network has no BatchNormalization",
    ("flat call", "EQ501"): "its slice [:-2] freezes all weights of a flat model but the head's",
    ("inference call", "EQ401"): "a backbone in inference mode drops nothing",
    ("inference call", "EQ402"): "a backbone in inference mode uses no batch statistics",
    ("inference call", "EQ403"): "a backbone in inference mode moves no statistics",
    ("mixed order, batches of 20", "EQ102"): "120 samples fill batches of 20",
    ("mixed order, batches of 20", "EQ104"): "its samples are not sorted by class",
}

#: Drawn combinations that no spec can ask for, and why. They are left out behind the draw, which stays as it is.
UNPLANTABLE = {
    "EQ207 + EQ307 + EQ402": "the images of EQ207 come without names of classes, and EQ307 weighs a class by its name",
}

#: Faults that are there after one epoch only, and why.
SHORT = {
    "EQ608": "its arm comes from code, which trains for one epoch; with more in the other arm EQ605 would be true too",
    "EQ801": "over eight epochs the moving statistics of its head come near those of a batch",
}

#: Printed in the report: the same seed draws the same combinations from the same catalogue.
SEED = 20261122
PAIRS, TRIPLES = 36, 24


def singles() -> list[Case]:
    """Each check's own fault on some bases that it does not conflict with."""
    cases = []
    for place, check in enumerate(all_checks()):
        fitting = [name for name in BASES if _fits(name, check)]
        # The first base is the fixture itself; the others take turns, so that all are used about as often.
        others = fitting[1:]
        turned = others[place % len(others) :] + others[: place % len(others)] if others else []
        for base in [*fitting[:1], *turned][:MOST_BASES]:
            patches = (BASES[base], _start(check), check.fault.patch)
            cases.append(Case("single", f"{check.code} on {base}", (_cause(check),), patches))
    return cases


def combined() -> list[Case]:
    """Pairs and triples of faults, drawn at random."""
    drawn = random.Random(SEED)  # noqa: S311  (a study, not a secret)
    cases = []
    for size, wanted in ((2, PAIRS), (3, TRIPLES)):
        together = [group for group in combinations(all_checks(), size) if _together(group)]
        cases += [_combination(group) for group in drawn.sample(together, min(wanted, len(together)))]
    return cases


def left_out() -> dict[str, str]:
    """Pairs that cannot be asked for together, and why; those whose patches meet are too many and too plain to tell."""
    return {
        f"{one.code} and {other.code}": reason
        for one, other in combinations(all_checks(), 2)
        if _patches_apart((one, other)) and (reason := why_not((one.code, other.code))) is not None
    }


def _start(check: Check) -> Patch:
    return {**check.fault.start, **({"training.epochs": 1} if check.code in SHORT else {})}


def _cause(check: Check) -> Cause:
    return Cause(check.name, (check.code,), check.fault.also)


def _fits(base: str, check: Check) -> bool:
    return (base, check.code) not in UNFIT and fits(BASES[base], check.fault)


def _patches_apart(group: Sequence[Check]) -> bool:
    return all(both_fit(one.fault, other.fault) for one, other in combinations(group, 2))


def _together(group: Sequence[Check]) -> bool:
    return _patches_apart(group) and why_not(check.code for check in group) is None


def _combination(group: Sequence[Check]) -> Case:
    starts = tuple(map(_start, group))
    faults = tuple(check.fault.patch for check in group)
    codes = [check.code for check in group]
    planted = tuple(replace(_cause(check), also=(*check.fault.also, *brought(codes))) for check in group)
    return Case("combined", " + ".join(codes), planted, (*starts, *faults))
