"""The contract of one check. A check judges evidence; it never touches Keras, the disk or the clock.

One file in ``checks/`` holds one subclass. What the class says about itself is the documentation: ``equivcheck
explain``, the catalogue page and the generated fault tests are all made from it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from equivcheck.findings import SEVERITIES, Cleared, Finding, Patch, Repair, Severity, Side

if TYPE_CHECKING:
    from equivcheck.evidence import Evidence

_CODE = re.compile(r"EQ[1-8]\d\d")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")
_TEXTS = ("title", "what", "why", "shows", "clean", "measured", "mistaken_for", "advice")

#: What a check judges: arms as they were built, arms after their training, or curves that a user already has.
Subject = Literal["arms", "training", "logs"]


@dataclass(frozen=True, slots=True)
class Fault:
    """How a clean spec is broken so that one check fires: the check's own test.

    Attributes:
        patch: The spec patch that plants the fault.
        start: A patch applied first, which changes the pipeline but leaves it clean (another backbone, say).
        also: Codes of errors that the same fault rightly raises beside this one.
    """

    patch: Patch
    start: Patch = field(default_factory=dict)
    also: tuple[str, ...] = ()


class Check(ABC):
    """Base class of all checks. Subclasses set every attribute below; that is checked when the class is made.

    Attributes:
        code: ``EQ401``; the file is called ``eq401_dropout_active_in_backbone.py``.
        name: ``dropout-active-in-backbone``: the defect, in the field's words.
        title: The defect in one line.
        what: What the check finds, in a paragraph.
        why: Why it separates the two curves.
        shows: Keras code that has the defect.
        clean: Keras code that does not.
        measured: How it is measured.
        mistaken_for: What looks like it and is not; known false alarms.
        advice: The repair in plain words.
        references: Where it is described: Keras documentation, issue threads, papers.
        requires: Codes that make this one a mere consequence: where one of them fired, this one is skipped.
        beside: Of these, codes that do not explain this one where the spec asks for what they found.
        fault: The patch on a clean spec that makes exactly this check fire.
        subject: What it judges; without it the check is skipped.
        severity: What its findings weigh, where the case does not weigh more or less.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    title: ClassVar[str]
    what: ClassVar[str]
    why: ClassVar[str]
    shows: ClassVar[str]
    clean: ClassVar[str]
    measured: ClassVar[str]
    mistaken_for: ClassVar[str]
    advice: ClassVar[str]
    references: ClassVar[tuple[str, ...]]
    requires: ClassVar[tuple[str, ...]] = ()
    beside: ClassVar[tuple[str, ...]] = ()
    fault: ClassVar[Fault]
    subject: ClassVar[Subject] = "arms"
    severity: ClassVar[Severity] = "error"

    def __init_subclass__(cls) -> None:
        """Refuses a check whose description is not complete."""
        problems = [f"{text} is missing or empty" for text in _TEXTS if not str(getattr(cls, text, "")).strip()]
        if not _CODE.fullmatch(getattr(cls, "code", "")):
            problems.append("code must look like EQ401")
        if not _NAME.fullmatch(getattr(cls, "name", "")):
            problems.append("name must be words in lower case joined by hyphens")
        if not getattr(cls, "references", ()):
            problems.append("references are missing")
        if getattr(cls, "severity", None) not in SEVERITIES:
            problems.append(f"severity must be one of {', '.join(SEVERITIES)}")
        if not isinstance(getattr(cls, "fault", None), Fault):
            problems.append("fault is missing")
        module = cls.__module__.rpartition(".")[2]
        expected = f"{getattr(cls, 'code', '').lower()}_{getattr(cls, 'name', '').replace('-', '_')}"
        if cls.__module__.startswith("equivcheck.checks.") and module != expected:
            problems.append(f"its file must be called {expected}.py")
        if problems:
            raise TypeError(f"{cls.__module__}.{cls.__qualname__}: " + "; ".join(problems))

    @abstractmethod
    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """Judges.

        Args:
            evidence: What was measured on both arms.

        Returns:
            Nothing where there is nothing to say, else findings and cleared differences.
        """

    def finding(
        self,
        arm: Side,
        message: str,
        *,
        measured: Mapping[str, Any],
        expected: str,
        severity: Severity | None = None,
        patch: Patch | None = None,
        advice: str | None = None,
        key: str | None = None,
        layer: str | None = None,
        asked: bool = False,
    ) -> Finding:
        """A finding of this check; ``advice`` and ``severity`` replace the class's own where the case is another."""
        return Finding(
            code=self.code,
            name=self.name,
            severity=severity or self.severity,
            arm=arm,
            title=self.title,
            message=message,
            measured=measured,
            expected=expected,
            repair=Repair(advice or self.advice, patch),
            key=key,
            layer=layer,
            asked=asked,
        )

    def cleared(self, message: str, **measured: Any) -> Cleared:
        """A difference of this check's kind that was measured and found harmless."""
        return Cleared(self.code, self.name, message, measured)
