"""The exception tree. Every error says what was read, where, what was expected and what to do.

An *error* is a Python exception; a judged defect of a pipeline is a *finding* (``findings.py``).
Each class carries the exit code that the command line returns for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from equivcheck.location import Location


class EquivcheckError(Exception):
    """Base of all errors that equivcheck raises on purpose."""

    exit_code: ClassVar[int] = 3


class InputError(EquivcheckError):
    """A file, folder, array or argument cannot be used as it is (exit code 2)."""

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a spec.

    Attributes:
        key: Dotted path of the key, such as ``frozen.training.loss``; empty for the file itself.
        message: What is wrong, without a full stop.
        location: File, line and column of the key or value.
        allowed: What would be accepted, each as the user would write it.
        suggestion: The allowed value that is nearest to what was written, if any is near.
        source: The offending line of the file, for the caret.
    """

    key: str
    message: str
    location: Location | None = None
    allowed: tuple[str, ...] = ()
    suggestion: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        """``spec.yaml:3:5: key: what is wrong; what is allowed; did you mean …?`` and the line itself."""
        head = ": ".join(part for part in (str(self.location or ""), self.key) if part)
        clauses = [self.message]
        if self.allowed:
            clauses.append("allowed: " + ", ".join(self.allowed))
        if self.suggestion:
            clauses.append(f'did you mean "{self.suggestion}"?')
        text = f"{head}: {'; '.join(clauses)}" if head else "; ".join(clauses)
        if self.source is not None and self.location is not None and self.location.column is not None:
            text += f"\n    {self.source}\n    {' ' * (self.location.column - 1)}^"
        return text


class SpecError(InputError):
    """A spec is wrong. All its problems are reported at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class UserCodeError(EquivcheckError):
    """A callable that the user named raised, or broke while it ran (exit code 3)."""


class InconclusiveError(EquivcheckError):
    """The arms could not be compared (exit code 3)."""


class DivergenceError(EquivcheckError):
    """A guarded model does not train as its reference does (exit code 1)."""

    exit_code: ClassVar[int] = 1


class DivergenceWarning(UserWarning):
    """The same, where the guard was asked to warn."""
