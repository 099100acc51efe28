"""The one Report that every renderer reads; its JSON is the contract (version 1).

Nothing here computes anything: ``pipeline.py`` fills a Report in, ``report/json_format.py`` writes and reads it,
and the other modules of this folder show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from equivcheck.findings import Cleared, Finding, Skipped
from equivcheck.measured import Curve, FirstDivergence, LayerRow, ParameterCount, Setting

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

Verdict = Literal["equivalent", "divergent", "inconclusive"]

REPORT_VERSION: Literal[1] = 1

EXIT_CODES: Mapping[Verdict, int] = {"equivalent": 0, "divergent": 1, "inconclusive": 3}


class Share(TypedDict):
    """What one cause makes of the gap, in the unit of the metric.

    Attributes:
        code: Code of the finding.
        share: Best estimate; interactions with other causes are contained in it.
        low: Lower end of what the replays leave open; null where only one estimate exists.
        high: Upper end.
    """

    code: str
    share: float
    low: float | None
    high: float | None


class Interaction(TypedDict):
    """What several causes make together beyond what each makes alone; contained in their shares.

    Attributes:
        codes: Codes of the findings.
        share: In the unit of the metric.
    """

    codes: list[str]
    share: float


class Attribution(TypedDict):
    """How the gap divides among the causes: all shares and the residual add up to the gap.

    Attributes:
        metric: The metric whose final value was attributed, such as ``val_accuracy``.
        gap: Frozen minus bottleneck, in percentage points for accuracies.
        shares: One entry a cause.
        interactions: One entry a set of causes that act together.
        residual: What no cause explains.
    """

    metric: str
    gap: float
    shares: list[Share]
    interactions: list[Interaction]
    residual: float


@dataclass(frozen=True, slots=True)
class Report:
    """All that one run found. See the JSON contract for the meaning of each key.

    Attributes:
        environment: ``{"versions": {...}, "machine": {...}, "settings": [Setting, ...]}`` once written as JSON.
        seconds: Wall-clock seconds by stage. Not part of what two runs must agree on.
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
