"""The one Report that every renderer reads; its JSON is the contract (version 1).

Nothing here computes anything: ``pipeline.py`` fills a Report in, ``report/json_format.py`` writes and reads it,
and the other modules of this folder show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from equivcheck.findings import Cleared, Finding, Skipped

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

Verdict = Literal["equivalent", "divergent", "inconclusive"]
Role = Literal["equal", "source", "propagated", "unaligned"]

REPORT_VERSION: Literal[1] = 1

EXIT_CODES: Mapping[Verdict, int] = {"equivalent": 0, "divergent": 1, "inconclusive": 3}


@dataclass(frozen=True, slots=True)
class Distance:
    """How far one layer's outputs are apart between the arms, on identical batches.

    Attributes:
        max_abs: Largest absolute difference, in the unit of the activation.
        max_rel: ``max_abs`` divided by the largest absolute activation of the bottleneck arm.
        cosine: Cosine of the two flattened outputs; 1.0 where they are equal.
    """

    max_abs: float
    max_rel: float
    cosine: float


@dataclass(frozen=True, slots=True)
class TrainingFlag:
    """The ``training`` value that a layer received in each phase; None where it received none."""

    fit: bool | None = None
    evaluate: bool | None = None
    predict: bool | None = None


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer of the aligned pair.

    Attributes:
        name: Full path, the same in both arms after alignment, such as ``backbone/mixed0/conv``.
        kind: Keras class name.
        bottleneck: Path in the bottleneck arm, or None where it has no such layer.
        frozen: Path in the frozen arm, or None where it has no such layer.
        inference: Distance in inference mode; None where the layer is not in both arms.
        training: Distance as each arm runs the layer under ``fit``.
        training_flag: What the layer received in the frozen arm.
        stochastic: Two training passes on the same input differ (frozen arm).
        batch_dependent: A sample's output under ``fit`` depends on its batch mates (frozen arm).
        trainable: The layer's weights are declared trainable (frozen arm).
        moved: One real training step changed a variable of this layer (frozen arm).
        role: ``source`` makes a difference, ``propagated`` hands one on (as in fit; inference where equal in fit).
    """

    name: str
    kind: str
    bottleneck: str | None
    frozen: str | None
    inference: Distance | None
    training: Distance | None
    training_flag: TrainingFlag
    stochastic: bool
    batch_dependent: bool
    trainable: bool
    moved: bool
    role: Role


@dataclass(frozen=True, slots=True)
class FirstDivergence:
    """Full path of the first layer, in execution order, whose outputs differ; None where none does."""

    inference: str | None = None
    training: str | None = None


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Scalar weights of one arm's network, backbone and head together.

    Attributes:
        trainable: Declared trainable.
        frozen: Declared not trainable, normalisation statistics included.
        moved: Scalars in variables that one real training step changed.
    """

    trainable: int
    frozen: int
    moved: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one training, a value an epoch.

    Attributes:
        arm: ``bottleneck``, ``frozen``, ``repaired``, or the code of a counterfactual.
        metric: ``accuracy``, ``loss``, ``val_accuracy`` or ``val_loss``; accuracies lie in [0, 1].
        values: One value per epoch.
    """

    arm: str
    metric: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the side-by-side table.

    Attributes:
        name: What it is, such as ``order of samples``.
        bottleneck: What the bottleneck arm did, as text.
        frozen: What the frozen arm did, as text.
        differs: Whether the two differ.
    """

    name: str
    bottleneck: str
    frozen: str
    differs: bool


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
