"""Everything that touches live arms: build, probe, train, and probe again with the repairs applied."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from equivcheck.arms.arm import Arm
from equivcheck.arms.build import Builder
from equivcheck.arms.said import place_of
from equivcheck.arms.user_code import user_code
from equivcheck.check import Check
from equivcheck.evidence import Evidence
from equivcheck.examine import Examination, examine
from equivcheck.findings import Finding, Patch
from equivcheck.measured import Curve
from equivcheck.repair import concrete
from equivcheck.replay.rehearse import Rehearsals
from equivcheck.replay.training import train
from equivcheck.spec import Experiment, resolve
from equivcheck.trace.observed import Observed, observe
from equivcheck.trace.pair import trace_pair
from equivcheck.trace.state import undisturbed

Progress = Callable[[str, int, int], None]

#: A repair can uncover another cause (a shuffled order that then turns out to come from another seed). Each round
#: repairs what the last one uncovered.
MOST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Probed:
    """One experiment, built and measured; the arms are as they were built.

    Attributes:
        experiment: The spec.
        bottleneck: The live arm and what it does by itself.
        frozen: The same for the other arm.
        evidence: What was measured on both.
        examination: What the checks said.
    """

    experiment: Experiment
    bottleneck: Observed
    frozen: Observed
    evidence: Evidence
    examination: Examination

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make the arms train differently."""
        return tuple(finding for finding in self.examination.findings if finding.severity == "error")


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of the repairs.

    Attributes:
        findings: All findings with their place in the spec; ``verified`` is set where a repair could be tried.
        curves: Both arms' curves, and the repaired frozen arm's.
    """

    findings: tuple[Finding, ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Laboratory:
    """Builds and measures experiments.

    Attributes:
        checks: The checks that judge.
        builder: Builds arms; what it has read it does not read again.
        progress: Told of epochs.
        rehearsals: Compiled trainings, which further arms of the same making use again.
    """

    checks: Sequence[Check]
    builder: Builder
    progress: Progress
    rehearsals: Rehearsals = field(default_factory=Rehearsals, repr=False)

    def probe(self, experiment: Experiment, before: Probed | None = None) -> Probed:
        """Builds both arms and measures them.

        Args:
            experiment: The spec.
            before: An experiment measured earlier, whose bottleneck arm is taken over where the spec gives the same.
        """
        with _quiet():
            builder = replace(self.builder, experiment=experiment)
            same = before is not None and builder.gives_same("bottleneck", before.experiment)
            bottleneck = before.bottleneck if before and same else observe(builder.build("bottleneck"))
            frozen = observe(builder.build("frozen"))
            with _blaming(bottleneck.arm, frozen.arm):
                evidence = trace_pair(bottleneck, frozen)
        examination = examine(evidence, self.checks)
        findings = tuple(_placed(finding, experiment) for finding in examination.findings)
        return Probed(experiment, bottleneck, frozen, evidence, replace(examination, findings=findings))

    def train(self, probed: Probed) -> tuple[Curve, ...]:
        """Curves of both arms; an arm whose loss refuses its labels has none."""
        curves: list[Curve] = []
        for observed in (probed.bottleneck, probed.frozen):
            if observed.step.failure is None:
                curves += self._train(observed.arm, probed, f"training the {observed.arm.name} arm")
        return tuple(curves)

    def try_repairs(self, probed: Probed, curves: tuple[Curve, ...]) -> Trial:
        """Applies every repair at once, probes again, and trains the repaired frozen arm where the others were.

        A finding is verified when it is gone then. What only shows once another cause is repaired is added to the
        findings.
        """
        findings = list(probed.examination.findings)
        repaired, open_errors = probed, probed.errors
        tried: list[Finding] = []
        for _ in range(MOST_ROUNDS):
            patch = _joined(open_errors)
            if not patch:
                break
            tried += [finding for finding in open_errors if finding.repair and finding.repair.patch]
            repaired = self.probe(resolve(repaired.experiment.document.patched(patch)), before=repaired)
            known = {finding.code for finding in findings}
            open_errors = tuple(finding for finding in repaired.errors if finding.code not in known)
            findings += open_errors
        if repaired is probed:
            return Trial(tuple(findings), curves)
        left = {finding.code for finding in repaired.errors}
        findings = [
            replace(finding, verified=finding.code not in left) if finding in tried else finding for finding in findings
        ]
        if curves and not left:
            again = self._train(repaired.frozen.arm, repaired, "training the repaired arm")
            curves += tuple(replace(curve, arm="repaired") for curve in again)
        return Trial(tuple(findings), curves)

    def _train(self, arm: Arm, probed: Probed, stage: str) -> tuple[Curve, ...]:
        with _quiet():
            if not arm.train.feed.arrays:
                # A dataset goes on from where the probes left it, so the user's function makes another.
                arm = replace(self.builder, experiment=probed.experiment).build(arm.name)
            with undisturbed(arm.model):
                return train(
                    arm,
                    lambda done, total: self.progress(stage, done, total),
                    evidence=getattr(probed.evidence, arm.name),
                    rehearsals=self.rehearsals,
                    folder=self.builder.cache,
                ).curves


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Keras' warnings of what is being measured: an ignored shuffle, a mismatched input structure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _blaming(*arms: Arm) -> Iterator[None]:
    """Names the user's functions where a line of the user's raised; anything else is a bug of ours and stays one."""
    try:
        yield
    except Exception as error:
        names = dict.fromkeys(arm.made_by for arm in arms if arm.made_by is not None)
        if not names or place_of(error) is None:
            raise
        with user_code(" or ".join(names), "comparing the arms"):
            raise


def _joined(findings: Sequence[Finding]) -> Patch:
    patch: dict[str, object] = {}
    for finding in findings:
        if finding.repair is not None and finding.repair.patch is not None:
            patch |= finding.repair.patch
    return patch


def _placed(finding: Finding, experiment: Experiment) -> Finding:
    """The finding with the line of the spec that it is about, and its repair as a patch of this spec."""
    location = experiment.locate(finding.arm, finding.key) if finding.key is not None else None
    if location is not None and finding.layer is not None:
        location = replace(location, layer=finding.layer)
    repair = finding.repair
    if repair is not None and repair.patch is not None:
        repair = replace(repair, patch=concrete(repair.patch, experiment))
    return replace(finding, location=location, repair=repair)
