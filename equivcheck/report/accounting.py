"""The accounting: how the gap divides among the causes, as steps that lead from nothing to the whole gap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from equivcheck.report.curve_gap import METRIC_NAMES
from equivcheck.report.numbers import ABSENT, metric_share
from equivcheck.report.prose import counted, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equivcheck.findings import Finding
    from equivcheck.measured import Attribution

#: Trainings below which a share has no interval.
FEW = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the waterfall; all values in the unit of the metric, percentage points for accuracies.

    Attributes:
        kind: ``cause``, then one ``residual``, then the ``gap`` that they add up to.
        code: Code of the finding; empty where it is no cause.
        name: What it is called.
        start: What the steps before add up to.
        share: What this step adds; for the gap, all of it.
        interval: 95 % confidence interval of the share, where there is one.
        alone: What the cause makes where it is the only one.
        repaired: What goes away where it alone is repaired.
    """

    kind: Literal["cause", "residual", "gap"]
    code: str
    name: str
    start: float
    share: float
    interval: tuple[float, float] | None = None
    alone: float | None = None
    repaired: float | None = None

    @property
    def end(self) -> float:
        """What this step and those before add up to."""
        return self.start + self.share

    @property
    def reach(self) -> tuple[float, float] | None:
        """Where this step may end by its interval."""
        return (self.start + self.interval[0], self.start + self.interval[1]) if self.interval else None


def steps(found: Attribution, findings: Sequence[Finding]) -> list[Step]:
    """The causes, the largest share first, then what none explains, then the whole gap."""
    names = {finding.code: finding.name.replace("-", " ") for finding in findings}
    lines: list[Step] = []
    reached = 0.0
    for share in sorted(found["shares"], key=lambda share: (-_size(share["share"]), share["code"])):
        low, high = share["low"], share["high"]
        lines.append(
            Step(
                "cause",
                share["code"],
                names.get(share["code"], ""),
                reached,
                share["share"],
                None if low is None or high is None else (low, high),
                share["alone"],
                share["repaired"],
            )
        )
        reached += share["share"]
    lines.append(Step("residual", "", "unexplained by these causes", reached, found["residual"]))
    lines.append(Step("gap", "", "gap, frozen minus bottleneck", 0.0, found["gap"]))
    return lines


def extent(lines: Sequence[Step]) -> tuple[float, float] | None:
    """Lowest and highest value of the waterfall, 0 included; None where it cannot be drawn to scale."""
    reached = [0.0, *(step.end for step in lines), *(end for step in lines for end in step.reach or ())]
    low, high = min(reached), max(reached)
    return (low, high) if all(map(math.isfinite, reached)) and 0 < high - low < math.inf else None


def interval(metric: str, step: Step) -> str:
    """``−34.4 pp to −29.1 pp``, or a dash."""  # noqa: RUF002
    if step.interval is None:
        return ABSENT
    return " to ".join(metric_share(metric, end) for end in step.interval)


def told(metric: str, share: float | None) -> str:
    """A share, or a dash where it is not known."""
    return ABSENT if share is None else metric_share(metric, share)


def subject(found: Attribution) -> str:
    """What was divided: ``validation accuracy, mean over 5 seeds``."""
    metric, times = METRIC_NAMES.get(found["metric"], found["metric"]), found["repetitions"]
    return f"{metric}, mean over {times} seeds" if times > 1 else metric


def remarks(found: Attribution) -> list[str]:
    """Sentences on what the shares leave open: causes that act together, too few trainings, what was not replayed."""
    metric = found["metric"]
    sentences = [
        f"{listed(together['codes'])} act together: {metric_share(metric, together['share'])} beyond what each makes "
        "alone; contained in their shares."
        for together in found["interactions"]
    ]
    smallest = found["smallest"]
    if smallest and len(smallest) < len(found["shares"]):
        sentences.append(f"Repairing {listed(smallest)} alone closes the gap.")
    if found["repetitions"] < FEW:
        sentences.append(
            f"This rests on {counted(found['repetitions'], 'training')} of each counterfactual: too few to say how "
            "much chance is in it."
        )
    if found["missing"]:
        sentences.append(f"Not everything was replayed: {found['missing']}. More time: --budget SECONDS.")
    return sentences


def _size(share: float) -> float:
    return math.inf if math.isnan(share) else abs(share)
