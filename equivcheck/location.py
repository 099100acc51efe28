"""Where something stands: a place in a file or a layer of a model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place a person can go to.

    Attributes:
        file: Path as the user gave it, or None where only a layer is known.
        line: Line number, counted from 1.
        column: Column number in characters, counted from 1.
        layer: Full path of a layer, such as ``backbone/mixed0/conv``.
    """

    file: str | None = None
    line: int | None = None
    column: int | None = None
    layer: str | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        if self.layer is None:
            return place
        return f"{place} ({self.layer})" if place else self.layer
