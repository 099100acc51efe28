"""What a check says: a finding, or a difference that it measured and cleared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from equivcheck.location import Location

Severity = Literal["error", "warning", "note"]
ArmName = Literal["bottleneck", "frozen"]
Side = Literal["bottleneck", "frozen", "both"]

#: Most severe first; the order in which findings are shown.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

#: Marks, in a field's metadata, a key that report files of earlier releases do not have.
ADDED = "added"

#: How the reason of a check begins that broke; the JSON contract has no field of its own for it.
CHECK_FAILED = "the check itself failed"

#: Dotted spec key -> new value; ``None`` removes the key. A repair, a fault and a counterfactual are all patches.
Patch = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SameAs:
    """Stands in a patch for the value that one arm's key has: checks see evidence, not the spec.

    Attributes:
        arm: The arm whose value is meant.
    """

    arm: ArmName


@dataclass(frozen=True, slots=True)
class AsTrained:
    """Stands in a patch for the preprocessing that the backbone's weights were trained with."""


@dataclass(frozen=True, slots=True)
class Repair:
    """How a finding is undone.

    Attributes:
        text: What to do, in a sentence or two of plain words, with Keras code where that helps.
        patch: The same as a spec patch, or None where no spec key can express it.
    """

    text: str
    patch: Patch | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A judged defect.

    Attributes:
        code: ``EQ401``.
        name: ``dropout-active-in-backbone``.
        severity: ``error`` makes the arms train differently; ``warning`` is a defect that both arms share or
            that will bite later; ``note`` is worth knowing.
        arm: Which arm has the defect.
        title: The defect in one line.
        message: What was measured and why it separates the curves, in plain words.
        measured: Numbers, with their units in their names.
        expected: What an equivalent pair would have shown.
        key: Dotted spec key (without the arm) whose line is the finding's location, if any.
        layer: Full path of the first layer concerned, if any.
        location: File, line, column and layer; filled in by the pipeline from ``key`` and ``layer``.
        repair: How it is undone.
        verified: True when the repair was applied and the finding was gone, False when it was not gone.
        share: How much of the gap it makes, in the unit of the attribution's metric.
        phases: Names of the phases of the training that it was found in; empty where there is only one.
        asked: The spec asks for the very thing, as a phase that unfreezes layers does; what comes with it is then
            judged as well.
        live: The patch as its check wrote it, where an arm comes from code and no spec key expresses it: it may still
            be tried on the live arm.
    """

    code: str
    name: str
    severity: Severity
    arm: Side
    title: str
    message: str
    measured: Mapping[str, Any]
    expected: str
    repair: Repair | None = None
    key: str | None = None
    layer: str | None = None
    location: Location | None = None
    verified: bool | None = None
    share: float | None = None
    phases: tuple[str, ...] = field(default=(), metadata={ADDED: True})
    asked: bool = False
    live: Patch | None = None


@dataclass(frozen=True, slots=True)
class Cleared:
    """A difference that was measured and found harmless.

    Attributes:
        code: Code of the check.
        name: Its name.
        message: What was measured.
        measured: Numbers, with their units in their names.
        phases: Names of the phases of the training that it was found in; empty where there is only one.
    """

    code: str
    name: str
    message: str
    measured: Mapping[str, Any] = field(default_factory=dict)
    phases: tuple[str, ...] = field(default=(), metadata={ADDED: True})


@dataclass(frozen=True, slots=True)
class Skipped:
    """A check that did not judge, and why."""

    code: str
    reason: str

    @property
    def failed(self) -> bool:
        """Whether it broke, so that nobody knows what it would have said."""
        return self.reason.startswith(CHECK_FAILED)
