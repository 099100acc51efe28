"""Everything that touches live arms: build, probe, train, and probe again with the repairs applied."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from equivcheck.arms.arm import Arm
from equivcheck.arms.build import Builder
from equivcheck.arms.said import place_of
from equivcheck.arms.user_code import user_code
from equivcheck.check import Check
from equivcheck.evidence import Evidence, Outcome
from equivcheck.examine import Examination, examine
from equivcheck.findings import ArmName, Finding, Patch
from equivcheck.measured import Attribution, Curve
from equivcheck.observed import read_logs
from equivcheck.repair import concrete
from equivcheck.replay.attribution import Replays, attribution, explore
from equivcheck.replay.counterfactuals import Counterfactuals, identity
from equivcheck.replay.rehearse import Rehearsals
from equivcheck.replay.training import train
from equivcheck.spec import CodeArm, Experiment, resolve
from equivcheck.trace.again import images_suspicious, kept_arrays, with_images_again
from equivcheck.trace.observed import Observed, observe
from equivcheck.trace.outcome import measure_outcome
from equivcheck.trace.pair import trace_pair
from equivcheck.trace.repeat import repeat_of_arms, repeat_of_networks
from equivcheck.trace.state import undisturbed

Progress = Callable[[str, int, int], None]

#: A repair can uncover another cause (a shuffled order that then turns out to come from another seed). Each round
#: repairs what the last one uncovered.
MOST_ROUNDS = 3

#: Trainings of each counterfactual, with other seeds: five make Student's t 2.8 where three would make it 4.3.
REPETITIONS = 5


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
class Trained:
    """What came of training both arms.

    Attributes:
        curves: Both arms' curves.
        outcome: What each arm then answers, where a check asks for it.
    """

    curves: tuple[Curve, ...]
    outcome: Mapping[ArmName, Outcome]


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
    _trained: dict[str, tuple[Curve, ...]] = field(default_factory=dict, repr=False)

    def probe(self, experiment: Experiment, before: Probed | None = None) -> Probed:
        """Builds both arms and measures them.

        Args:
            experiment: The spec.
            before: An experiment measured earlier, whose bottleneck arm is taken over where the spec gives the same.
        """
        with _quiet():
            builder = replace(self.builder, experiment=experiment)
            same = before is not None and builder.gives_same("bottleneck", before.experiment)
            bottleneck = before.bottleneck if before and same else _observed(builder, "bottleneck")
            frozen = _observed(builder, "frozen")
            with _blaming(bottleneck.arm, frozen.arm):
                evidence = trace_pair(bottleneck, frozen)
            if images_suspicious(evidence):
                with kept_arrays(bottleneck.arm, frozen.arm):
                    for observed in (bottleneck, frozen):
                        built = builder.again(observed.arm.name)
                        evidence = evidence if built is None else with_images_again(evidence, observed, built)
        if experiment.observed is not None:
            logs = read_logs(experiment.observed.files, experiment.observed.validation_samples)
            evidence = replace(evidence, logs=logs)
        return Probed(experiment, bottleneck, frozen, evidence, self._examined(evidence, experiment))

    def train(self, probed: Probed) -> Trained:
        """Trains both arms; one whose loss refuses its labels has no curves."""
        curves: list[Curve] = []
        outcome: dict[ArmName, Outcome] = {}
        for observed in (probed.bottleneck, probed.frozen):
            name = observed.arm.name
            if observed.step.failure is None:
                found, came_to = self._train(
                    observed.arm, probed.experiment, probed.evidence, f"training the {name} arm", observed
                )
                self._trained[identity(name, probed.experiment)] = found
                curves += found
                outcome |= {} if came_to is None else {name: came_to}
        return Trained(tuple(curves), outcome)

    def judge_again(self, probed: Probed, trained: Trained) -> Probed:
        """The same measurements and what training came to, judged together."""
        evidence = replace(probed.evidence, outcome=trained.outcome)
        return replace(probed, evidence=evidence, examination=self._examined(evidence, probed.experiment))

    def _examined(self, evidence: Evidence, experiment: Experiment) -> Examination:
        examination = examine(evidence, self.checks)
        return replace(examination, findings=tuple(_placed(finding, experiment) for finding in examination.findings))

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
            again, _ = self._train(
                repaired.frozen.arm, repaired.experiment, repaired.evidence, "training the repaired arm"
            )
            self._trained[identity("frozen", repaired.experiment)] = again
            curves += tuple(replace(curve, arm="repaired") for curve in again)
        return Trial(tuple(findings), curves)

    def attribute(self, probed: Probed, trial: Trial, *, seconds: float) -> tuple[Attribution | None, Trial]:
        """Trains counterfactuals to see how much of the gap each cause makes.

        Args:
            probed: The experiment as declared.
            trial: What came of its repairs; causes without one that was tried and held are not replayed.
            seconds: Time after which no further training begins.

        Returns:
            How the gap divides, None where that cannot be said; and the trial with the share of each cause and the
            curves of each single repair.
        """
        repairs = {
            finding.code: finding.repair.patch
            for finding in trial.findings
            if finding.severity == "error" and finding.verified and finding.repair and finding.repair.patch
        }
        if not repairs or not {"bottleneck", "frozen"} <= {curve.arm for curve in trial.curves}:
            return None, trial
        deadline = time.monotonic() + seconds
        replays = Replays(tuple(repairs), self._counterfactuals(probed, repairs), _samples(probed))
        missing = explore(replays, REPETITIONS, lambda: time.monotonic() > deadline)
        found = attribution(replays, missing)
        if found is None:
            return None, trial
        shares = {share["code"]: share["share"] for share in found["shares"]}
        findings = tuple(
            replace(finding, share=shares[finding.code]) if finding.code in shares and finding.verified else finding
            for finding in trial.findings
        )
        return found, Trial(findings, (*trial.curves, *_single_repairs(replays)))

    def _counterfactuals(self, probed: Probed, repairs: Mapping[str, Patch]) -> Counterfactuals:
        def train_arm(arm: Arm, built_for: Experiment) -> tuple[Curve, ...]:
            return self._train(arm, built_for, probed.evidence, f"replay {len(self._trained) + 1}")[0]

        built = (probed.bottleneck.arm, probed.frozen.arm)
        arms = {identity(arm.name, probed.experiment, seeded=False): arm for arm in built}
        return Counterfactuals(probed.experiment, repairs, self.builder, train_arm, self._trained, arms)

    def _train(
        self, arm: Arm, experiment: Experiment, evidence: Evidence, stage: str, observed: Observed | None = None
    ) -> tuple[tuple[Curve, ...], Outcome | None]:
        """The curves of one arm; and what it came to, where that is asked of an observed arm.

        Args:
            arm: The arm.
            experiment: What it was built for.
            evidence: What was measured on it, or on the arm that it is a counterfactual of.
            stage: What the progress is told.
            observed: The arm as it was measured, where its outcome is asked for.
        """
        with _quiet():
            if not all(split.feed.arrays for split in (arm.train, arm.validation) if split is not None):
                # A dataset goes on from where the probes left it, so another is made.
                arm = replace(self.builder, experiment=experiment).build(arm.name)
            with undisturbed(arm.model):
                curves = train(
                    arm,
                    lambda done, total: self.progress(stage, done, total),
                    evidence=getattr(evidence, arm.name),
                    rehearsals=self.rehearsals,
                    folder=self.builder.cache,
                ).curves
                if observed is None or not any(check.subject == "training" for check in self.checks):
                    return curves, None
                return curves, measure_outcome(arm.model, observed, curves)


def _observed(builder: Builder, name: ArmName) -> Observed:
    """One arm, built and measured; what the user's own functions make of it is built twice."""
    observed = observe(builder.build(name))
    spec = getattr(builder.experiment, name)
    if isinstance(spec, CodeArm):
        # No more than the features once more, which one epoch of the frozen arm computes as well.
        with undisturbed(*observed.arm.network), kept_arrays(observed.arm):
            return replace(observed, repeat=repeat_of_arms(observed, builder.build(name)))
    if spec.backbone.callable is not None:
        return replace(observed, repeat=repeat_of_networks(builder.network(name), builder.network(name)))
    return observed


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


def _samples(probed: Probed) -> dict[str, int]:
    """Samples that each accuracy is taken over."""
    arm = probed.evidence.frozen
    found = {"accuracy": len(arm.train.samples[0])}
    return found | ({"val_accuracy": len(arm.validation.samples[0])} if arm.validation else {})


def _single_repairs(replays: Replays) -> tuple[Curve, ...]:
    """The frozen arm's curves with one cause repaired, named by its code; one cause alone is the repaired arm."""
    everyone = frozenset(replays.causes)
    return tuple(
        replace(curve, arm=code)
        for code in replays.causes
        if len(everyone) > 1 and replays.known(everyone - {code}, 0)
        for curve in replays.replay(everyone - {code}, 0)
        if curve.arm == "frozen"
    )


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
