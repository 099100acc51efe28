"""The one Report that every renderer reads; its JSON is the contract (version 1).

Nothing here computes anything: ``pipeline.py`` fills a Report in, ``report/json_format.py`` writes and reads it,
and the other modules of this folder show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from equivcheck.findings import Cleared, Finding, Skipped
from equivcheck.measured import (
    Attribution,
    Curve,
    FirstDivergence,
    LayerRow,
    ParameterCount,
    PhaseSpan,
    Setting,
    WhatIf,
)

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

Verdict = Literal["equivalent", "divergent", "inconclusive"]

REPORT_VERSION: Literal[1] = 1

EXIT_CODES: Mapping[Verdict, int] = {"equivalent": 0, "divergent": 1, "inconclusive": 3}


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run found. See the JSON contract for the meaning of each key.

    Attributes:
        environment: ``{"versions": {...}, "machine": {...}, "settings": [Setting, ...]}`` once written as JSON.
        seconds: Wall-clock seconds by stage. Not part of what two runs must agree on.
        phases: The phases of the training; empty where there is only one.
    """

    name: str
    verdict: Verdict
    summary: str
    findings: tuple[Finding, ...] = ()
    cleared: tuple[Cleared, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    first_divergence: FirstDivergence = field(default_factory=FirstDivergence)
    parameters: Mapping[str, ParameterCount] = field(default_factory=dict)
    curves: tuple[Curve, ...] = ()
    attribution: Attribution | None = None
    observed: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    phases: tuple[PhaseSpan, ...] = ()
    what_if: tuple[WhatIf, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 equivalent, 1 divergent, 3 inconclusive."""
        return EXIT_CODES[self.verdict]

    def to_frame(self, table: str) -> pd.DataFrame:
        """One table of the report as a pandas DataFrame; see ``report/frames.py`` for their names."""
        from equivcheck.report.frames import to_frame  # noqa: PLC0415  (pandas only where it is asked for)

        return to_frame(self, table)

    def save(self, path: str | Path) -> None:
        """Writes the report in the format that the file's suffix names."""
        from equivcheck.report.files import save  # noqa: PLC0415  (the renderers import this module)

        save(self, path)
