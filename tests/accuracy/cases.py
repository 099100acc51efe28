"""One case of the study: a pair of arms with known causes, or with none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from equivcheck.catalog import names
from equivcheck.findings import Patch

ROOT = Path(__file__).parents[2]
CLEAN = ROOT / "fixtures" / "clean" / "spec.yaml"
CODES = frozenset(names())

Kind = Literal["single", "combined", "clean"]


@dataclass(frozen=True)
class Cause:
    """One planted fault.

    Attributes:
        name: How it was planted, in a few words.
        codes: Codes that name it rightly, the most specific first; any of them counts.
        also: Codes of errors that the same fault rightly raises beside it.
    """

    name: str
    codes: tuple[str, ...]
    also: tuple[str, ...] = ()

    @property
    def code(self) -> str | None:
        """The most specific code of the catalogue; None while no check of this kind exists."""
        return next((code for code in self.codes if code in CODES), None)


@dataclass(frozen=True)
class Case:
    """One pair of arms.

    Attributes:
        kind: What is asked of it.
        name: Unique.
        planted: Its causes.
        patches: Applied to the spec one after the other.
        files: Name -> text of files written into a folder of its own, ``spec.yaml`` among them; without them the spec
            is the clean fixture.
    """

    kind: Kind
    name: str
    planted: tuple[Cause, ...] = ()
    patches: tuple[Patch, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Hash of all that says what is run and what is expected."""
        expected = [[cause.name, cause.codes, cause.also] for cause in self.planted]
        text = json.dumps([self.kind, self.name, expected, self.patches, dict(self.files)], default=dict)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def trained(self) -> bool:
        """Whether it shows only in what a training comes to, as the eight hundreds do."""
        return any(cause.code is not None and cause.code.startswith("EQ8") for cause in self.planted)


@dataclass(frozen=True)
class Outcome:
    """What the tool said.

    Attributes:
        errors: Codes in the order in which they are shown.
        uncovered: Those of them that only showed once the others' repairs were applied, as a run does by itself.
        others: Codes of warnings and notes.
        failed: Codes of checks that failed themselves.
        trouble: What was raised, if the arms could not be compared at all.
        seconds: What it took.
    """

    errors: tuple[str, ...]
    others: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    trouble: str | None = None
    seconds: float = 0.0
    uncovered: tuple[str, ...] = ()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Outcome:
        """From a line of the journal."""
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})


@dataclass(frozen=True)
class Judgement:
    """An outcome against what was planted.

    Attributes:
        missed: Causes that were not named.
        behind: Codes that came before the only planted cause.
        alarms: Errors that nothing planted explains.
        broken: Checks that failed, or what was raised.
    """

    missed: tuple[Cause, ...]
    behind: tuple[str, ...]
    alarms: tuple[str, ...]
    broken: tuple[str, ...]

    @property
    def right(self) -> bool:
        """Nothing missed, nothing made up, nothing broken, and the only cause first."""
        return not (self.missed or self.behind or self.alarms or self.broken)


def missed(case: Case, said: Collection[str]) -> tuple[Cause, ...]:
    """The planted causes that none of these codes names."""
    return tuple(cause for cause in case.planted if not set(said) & set(cause.codes))


def judge(case: Case, outcome: Outcome) -> Judgement:
    """Compares what was said with what was planted."""
    explained = {code for cause in case.planted for code in (*cause.codes, *cause.also)}
    behind: tuple[str, ...] = ()
    if case.kind == "single" and outcome.errors:
        (cause,) = case.planted
        first = next((place for place, code in enumerate(outcome.errors) if code in cause.codes), len(outcome.errors))
        behind = tuple(code for code in outcome.errors[:first] if code not in cause.also)
    return Judgement(
        missed=missed(case, (*outcome.errors, *outcome.others)),
        behind=behind,
        alarms=tuple(code for code in outcome.errors if code not in explained),
        broken=(*outcome.failed, *([outcome.trouble] if outcome.trouble else [])),
    )
