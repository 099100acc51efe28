"""The table of a benchmark: on a terminal, and as a section of ``reports/benchmarks.md``."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]

HEADINGS = ("what", "measured", "bound", "", "behind it")
VERDICTS = ("kept", "MISSED")
TITLE = "# Benchmarks\n"
TIMES = "×"  # noqa: RUF001  (a ratio's unit)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was run.
        value: What it took.
        bound: What it may take, in the same unit.
        unit: Seconds, or the times sign for a ratio.
        detail: The seconds or gigabytes behind it.
    """

    what: str
    value: float
    bound: float
    unit: str
    detail: str

    @property
    def kept(self) -> bool:
        """Whether it took no longer than it may."""
        return self.value <= self.bound

    @property
    def cells(self) -> tuple[str, ...]:
        """As shown."""
        return (
            self.what,
            f"{self.value:.2f} {self.unit}",
            f"{self.bound:g} {self.unit}",
            VERDICTS[0] if self.kept else VERDICTS[1],
            self.detail,
        )


def listed(values: Sequence[float], digits: int = 2) -> str:
    """Seconds behind a median."""
    return ", ".join(f"{value:.{digits}f}" for value in values) + " s"


def environment() -> str:
    """The machine and the versions that the figures are of."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("equivcheck", "tensorflow", "keras", "numpy"))
    return (
        f"{platform.system()} {platform.machine()}, {_processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {packages}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "processor unknown")


def as_text(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    table = [HEADINGS, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines)


def as_section(title: str, how: str, rows: Sequence[Row]) -> str:
    """The table as a section of ``reports/benchmarks.md``."""
    table = [HEADINGS, tuple("---" for _ in HEADINGS), *(row.cells for row in rows)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in table)
    return f"## {title}\n\n{how}\n\n{environment()}\n\n{lines}\n"


def merged(root: Path, title: str, lead: str, rows: Sequence[Row]) -> list[Row]:
    """The rows of the section as it stands, with those whose ``what`` begins with ``lead`` replaced by these."""
    file = root / "reports" / "benchmarks.md"
    old = file.read_text(encoding="utf-8") if file.exists() else TITLE
    section = next((part for part in re.split(r"^## ", old, flags=re.MULTILINE) if part.startswith(f"{title}\n")), "")
    cells = (line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| "))
    kept = [
        Row(what, float(value.split()[0]), float(bound.split()[0]), value.split()[1], detail)
        for what, value, bound, verdict, detail in cells
        if verdict in VERDICTS and not what.startswith(lead)
    ]
    return [*kept, *rows]


def write_section(root: Path, title: str, how: str, rows: Sequence[Row]) -> None:
    """Puts the section into the file, in the place of an older one of this title, and leaves the others."""
    file = root / "reports" / "benchmarks.md"
    file.parent.mkdir(exist_ok=True)
    old = file.read_text(encoding="utf-8") if file.exists() else TITLE
    parts = re.split(r"^(?=## )", old, flags=re.MULTILINE)
    sections = {part.partition("\n")[0]: part.strip() + "\n" for part in parts[1:]}
    new = as_section(title, how, rows)
    sections[new.partition("\n")[0]] = new
    file.write_text("\n".join([TITLE, *sections.values()]), encoding="utf-8")
