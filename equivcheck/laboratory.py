"""Everything that touches live arms: build, probe, train, and probe again with the repairs applied."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

from equivcheck.arms.arm import Arm
from equivcheck.arms.build import Builder
from equivcheck.arms.said import place_of
from equivcheck.arms.user_code import user_code
from equivcheck.check import Check
from equivcheck.errors import InconclusiveError, InputError, UserCodeError
from equivcheck.evidence import Evidence, Outcome
from equivcheck.examine import Examination, examine, of_all_phases
from equivcheck.findings import ArmName, Finding, Patch
from equivcheck.measured import Attribution, Curve, WhatIf
from equivcheck.mend import mendable, mended, parts_of
from equivcheck.observed import read_logs
from equivcheck.repair import concrete
from equivcheck.replay import what_if
from equivcheck.replay.attribution import INTERRUPTED, SPENT, Replays, Wanted, attribution, prepare, train_all, wanted
from equivcheck.replay.counterfactuals import Counterfactuals, identity
from equivcheck.replay.pace import UNLIMITED, Allowance, Deadline, OverBudgetError, expected_seconds
from equivcheck.replay.phases import begin_in_phases, joined, train_in_phases
from equivcheck.replay.placement import rounded_by_place
from equivcheck.replay.rehearse import Rehearsals
from equivcheck.replay.training import begin, runs_aside
from equivcheck.spec import Advice, CodeArm, Experiment, resolve
from equivcheck.trace.again import called_again, kept_arrays, suspects
from equivcheck.trace.observed import Observed, observe
from equivcheck.trace.outcome import measure_outcome
from equivcheck.trace.pair import trace_pair
from equivcheck.trace.phase import fit_once, phase_of
from equivcheck.trace.repeat import repeat_of_arms, repeat_of_networks
from equivcheck.trace.state import undisturbed

Progress = Callable[[str, int, int], None]

#: A repair can uncover another cause (a shuffled order that then turns out to come from another seed). Each round
#: repairs what the last one uncovered.
MOST_ROUNDS = 3

#: Trainings of each counterfactual, with other seeds: five make Student's t 2.8 where three would make it 4.3.
REPETITIONS = 5


#: What says that an advice cannot be followed.
_UNFOLLOWED = (InputError, UserCodeError, InconclusiveError)


class _HereError(Exception):
    """A training does not run beside others."""


@dataclass(frozen=True, slots=True)
class Probed:
    """One experiment, built and measured; the arms are as they were built.

    Attributes:
        experiment: The spec; for a training in phases, as it is in the first one.
        bottleneck: The live arm and what it does by itself.
        frozen: The same for the other arm.
        evidence: What was measured on both.
        examination: What the checks said; of all phases.
        later: The same of each later phase, by itself.
        mends: What was done to the live frozen arm, which comes from code, to try repairs.
    """

    experiment: Experiment
    bottleneck: Observed
    frozen: Observed
    evidence: Evidence
    examination: Examination
    later: tuple[Probed, ...] = ()
    mends: tuple[Patch, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that make the arms train differently."""
        return tuple(finding for finding in self.examination.findings if finding.severity == "error")

    @property
    def phases(self) -> tuple[Probed, ...]:
        """Each phase of the training; this itself where there is only one."""
        return (self, *self.later)


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of training both arms.

    Attributes:
        curves: Both arms' curves, over all phases.
        outcome: What each arm answers behind each phase, by the phase's name, where a check asks for it.
        epochs: Epochs that each arm was trained for in each phase, by the phase's name.
        left_out: Seconds that training both would have taken where that is more than was allowed; nothing was trained.
    """

    curves: tuple[Curve, ...]
    outcome: Mapping[str, Mapping[ArmName, Outcome]]
    epochs: Mapping[str, Mapping[ArmName, int]]
    left_out: float | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    """One arm, trained.

    Attributes:
        curves: Its curves, over all phases.
        outcome: What it answers behind each phase, where that was asked.
        epochs: Epochs of each phase.
    """

    curves: tuple[Curve, ...]
    outcome: Mapping[str, Outcome]
    epochs: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of the repairs.

    Attributes:
        findings: All findings with their place in the spec; ``verified`` is set where a repair could be tried.
        curves: Both arms' curves, and the repaired frozen arm's.
        repaired: The repaired experiment; None where nothing could be repaired.
        undivided: Why the gap was not divided among the causes, where too few counterfactuals were trained for that.
    """

    findings: tuple[Finding, ...]
    curves: tuple[Curve, ...]
    repaired: Probed | None = None
    undivided: str = ""


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
    _begun: dict[str, Callable[[], tuple[Curve, ...]]] = field(default_factory=dict, repr=False)
    _numbers: Iterator[int] = field(default_factory=partial(count, 1), repr=False)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Lets trainings run beside one another; on leaving nothing does any more."""
        try:
            yield
        finally:
            self._stop()

    def _stop(self) -> None:
        """Ends what nobody waits for any more."""
        self.rehearsals.workers.stop()
        self._begun.clear()

    def probe(self, experiment: Experiment, before: Probed | None = None, mends: Sequence[Patch] = ()) -> Probed:
        """Builds both arms and measures them, in each phase of their training.

        Args:
            experiment: The spec.
            before: An experiment measured earlier, whose bottleneck arm is taken over where the spec gives the same.
            mends: Patches to do to the live frozen arm, beside those that were done to it before.
        """
        known = {each.experiment.phase: each for each in before.phases} if before is not None else {}
        views = [replace(experiment, phase=name) for name in experiment.phases] or [experiment]
        first, *later = (self._probe(view, known.get(view.phase), tuple(mends)) for view in views)
        if experiment.observed is not None:
            logs = read_logs(experiment.observed.files, experiment.observed.validation_samples)
            first = replace(first, evidence=replace(first.evidence, logs=logs))
        return self._examined(first, later)

    def _probe(self, experiment: Experiment, before: Probed | None, mends: tuple[Patch, ...]) -> Probed:
        """One phase."""
        with _quiet():
            builder = replace(self.builder, experiment=experiment)
            same = before is not None and builder.gives_same("bottleneck", before.experiment)
            bottleneck = before.bottleneck if before and same else _observed(builder, "bottleneck")
            mends = (*before.mends, *mends) if before else mends
            frozen = _mended(builder, before, bottleneck, mends) if before and mends else _observed(builder, "frozen")
            with _blaming(bottleneck.arm, frozen.arm):
                evidence = trace_pair(bottleneck, frozen)
            if suspected := suspects(evidence):
                with kept_arrays(bottleneck.arm, frozen.arm):
                    for observed in (bottleneck, frozen):
                        built = builder.again(observed.arm.name) if observed.arm.name in suspected else None
                        evidence = evidence if built is None else called_again(evidence, observed, built)
        evidence = replace(evidence, phase=phase_of(experiment, bottleneck, frozen))
        return Probed(experiment, bottleneck, frozen, evidence, Examination((), (), (), ()), mends=mends)

    @staticmethod
    def allowance(seconds: float) -> Allowance:
        """The time that trainings may take, from now on."""
        return Allowance(seconds)

    def train(self, probed: Probed, allowance: Allowance = UNLIMITED, *, replay: bool = False) -> Trained:
        """Trains both arms; one whose loss refuses its labels has no curves.

        Neither is trained where both would take longer than is allowed: one curve alone says nothing.

        Args:
            probed: The arms, measured.
            allowance: What ends the training.
            replay: Whether there will be replays, so that the first may begin beside it.
        """
        curves: list[Curve] = []
        outcome: dict[str, dict[ArmName, Outcome]] = {}
        epochs: dict[str, dict[ArmName, int]] = {}
        trainable = [each for each in (probed.bottleneck, probed.frozen) if each.step.failure is None]
        with _quiet():
            expected = self._expected(trainable, allowance)
        if sum(expected) > allowance.left:
            return Trained((), {}, {}, left_out=sum(expected))
        if replay and (_repairs(probed.errors) or probed.experiment.what_if):
            # Whatever comes of the repairs, the declared arms are wanted from other seeds too.
            self._begin_aside(probed, None, {}, range(1, REPETITIONS), wholly=True)
        for observed in trainable:
            name = observed.arm.name
            try:
                run = self._train(
                    observed.arm,
                    probed.experiment,
                    probed.evidence,
                    f"training the {name} arm",
                    observed,
                    allowance=allowance,
                )
            except OverBudgetError as ended:
                self._stop()
                with _quiet():  # a bound is no answer to how long it would take
                    others = [expected_seconds(each, self.rehearsals) for each in trainable if each is not observed]
                return Trained((), {}, {}, left_out=ended.seconds + sum(others))
            self._trained[identity(name, probed.experiment)] = run.curves
            curves += run.curves
            for phase, length in run.epochs.items():
                epochs.setdefault(phase, {})[name] = length
            for phase, came_to in run.outcome.items():
                outcome.setdefault(phase, {})[name] = came_to
        return Trained(tuple(curves), outcome, epochs)

    def _expected(self, trainable: Sequence[Observed], allowance: Allowance) -> list[float]:
        """Seconds that each training will take; no more than a bound where that is enough to know."""
        if allowance is UNLIMITED:
            return [0.0] * len(trainable)
        expected = [expected_seconds(observed, self.rehearsals, exactly=False) for observed in trainable]
        for place in sorted(range(len(expected)), key=expected.__getitem__, reverse=True):  # mostly the longest decides
            if sum(expected) <= allowance.left:
                break
            expected[place] = expected_seconds(trainable[place], self.rehearsals)
        return expected

    def judge_again(self, probed: Probed, trained: Trained) -> Probed:
        """The same measurements and what training came to, judged together."""
        first, *later = (
            replace(each, evidence=replace(each.evidence, outcome=trained.outcome.get(each.experiment.phase, {})))
            for each in probed.phases
        )
        return self._examined(first, later)

    def _examined(self, first: Probed, later: Sequence[Probed]) -> Probed:
        """All phases with what the checks say of them."""
        phases = [replace(each, examination=self._examine(each)) for each in (first, *later)]
        if len(phases) == 1:
            return phases[0]
        together = of_all_phases({each.experiment.phase: each.examination for each in phases})
        return replace(phases[0], examination=together, later=tuple(phases[1:]))

    def _examine(self, probed: Probed) -> Examination:
        examination = examine(probed.evidence, self.checks)
        placed = tuple(_placed(finding, probed.experiment) for finding in examination.findings)
        return replace(examination, findings=placed)

    def try_repairs(self, probed: Probed, curves: tuple[Curve, ...], allowance: Allowance = UNLIMITED) -> Trial:
        """Applies every repair at once, probes again, and trains the repaired frozen arm where the others were.

        A finding is verified when it is gone then. What only shows once another cause is repaired is added to the
        findings. Where training the repaired arm would take longer than is allowed, it has no curves. Where the frozen
        arm comes from code, no patch reaches it, but what can be done to the live arm is.
        """
        findings = list(probed.examination.findings)
        repaired, open_errors = probed, probed.errors
        tried: list[Finding] = []
        for _ in range(MOST_ROUNDS):
            patch, live = _joined(open_errors), _mendable(open_errors, repaired)
            if not patch and not live:
                break
            try:
                repaired = self.probe(
                    resolve(repaired.experiment.document.patched(patch)) if patch else repaired.experiment,
                    before=repaired,
                    mends=[finding.live for finding in live if finding.live is not None],
                )
            except Exception:
                if not live:
                    raise
                break  # the user's code does not bear what was done to its arm, so nothing was tried
            tried += [finding for finding in open_errors if finding.repair and finding.repair.patch]
            tried += live
            known = {finding.code for finding in findings}
            open_errors = tuple(finding for finding in repaired.errors if finding.code not in known)
            findings += open_errors
        if repaired is probed:
            return Trial(tuple(findings), curves)
        left = {finding.code for finding in repaired.errors}
        findings = [
            replace(finding, verified=finding.code not in left) if finding in tried else finding for finding in findings
        ]
        # Data that are no arrays begin where the probes left them, and a mended arm cannot be built again like others.
        if curves and not left and not (repaired.mends and not repaired.frozen.arm.begins_anew):
            with suppress(OverBudgetError):
                again = self._train(
                    repaired.frozen.arm,
                    repaired.experiment,
                    repaired.evidence,
                    "training the repaired arm",
                    allowance=allowance,
                ).curves
                if not repaired.mends:
                    self._trained[identity("frozen", repaired.experiment)] = again
                curves += tuple(replace(curve, arm="repaired") for curve in again)
        return Trial(tuple(findings), curves, repaired)

    def rounded_by_place(self, probed: Probed, curves: Sequence[Curve]) -> float | None:
        """Whether curves that differ without a cause do so by rounding alone; see ``replay.placement``."""
        if probed.later or {"bottleneck", "frozen"} - {curve.arm for curve in curves}:
            return None
        with _quiet():
            return rounded_by_place(probed.bottleneck.arm, probed.frozen.arm, curves, self.rehearsals)

    def follow(self, probed: Probed, deadline: Deadline) -> list[what_if.Trial]:
        """Follows each advice of the spec once: what it does to the errors, and to both curves.

        Args:
            probed: The experiment as declared.
            deadline: When nothing further is begun; an interrupt of the user's makes it pass.
        """
        trials = [self._follow(probed, advice, deadline) for advice in probed.experiment.what_if]
        return [self._followed(trial, deadline) for trial in trials]

    def _follow(self, probed: Probed, advice: Advice, deadline: Deadline) -> what_if.Trial:
        """One advice, measured, and its trainings begun."""

        def trial(then: Probed | None = None, missing: str = "") -> what_if.Trial:
            counterfactuals = self._counterfactuals(probed, then, {what_if.DECLARED: advice.patch})
            return what_if.Trial(advice, self._replays(counterfactuals, probed), missing=missing)

        if deadline.passed():
            return trial(missing=f"{_why_passed(deadline)} before")
        try:
            then = self.probe(resolve(probed.experiment.document.patched(advice.patch)), before=probed)
            begun = trial(then)
            prepare(wanted(begun.replays, 0))
        except KeyboardInterrupt:
            deadline.interrupted = True
            return trial(missing=f"{_why_passed(deadline)} before")
        except _UNFOLLOWED as error:
            return trial(missing=_cannot(error))
        declared, left = ({finding.code: None for finding in each.errors} for each in (probed, then))
        return replace(
            begun,
            gone=[code for code in declared if code not in left],
            new=[code for code in left if code not in declared],
        )

    def _followed(self, trial: what_if.Trial, deadline: Deadline) -> what_if.Trial:
        """One advice whose trainings have ended."""
        if trial.missing:
            return trial
        if deadline.interrupted:
            return replace(trial, missing=f"{INTERRUPTED} before", gone=(), new=())
        try:
            self._train_all(wanted(trial.replays, 0), deadline, whole=True)
        except KeyboardInterrupt:
            return replace(trial, missing=f"{_why_passed(deadline)} before", gone=(), new=())
        except _UNFOLLOWED as error:
            return replace(trial, missing=_cannot(error), gone=(), new=())
        return trial

    def weigh(self, trials: Sequence[what_if.Trial], metric: str | None, deadline: Deadline) -> tuple[WhatIf, ...]:
        """Repeats what was followed with other seeds as far as time allows, and tells what it came to.

        Args:
            trials: What ``follow`` returned.
            metric: What the attribution is told in; None where there is none.
            deadline: As for ``follow``.
        """
        complete = [trial.replays for trial in trials if not trial.missing]
        jobs = [job for repetition in range(REPETITIONS) for replays in complete for job in wanted(replays, repetition)]
        self._train_all(jobs, deadline)
        self._stop()
        chosen = metric or what_if.metric_of(trials)
        return tuple(what_if.effect_of(trial, chosen) for trial in trials)

    def counterfactuals(self, probed: Probed, trial: Trial, deadline: Deadline) -> Replays | None:
        """What tells how much of the gap each cause makes; the first are begun where they run beside other work.

        Args:
            probed: The experiment as declared.
            trial: What came of its repairs; causes without one that was tried and held are not replayed.
            deadline: As for ``follow``.

        Returns:
            None where there is nothing to divide, or nothing to divide it among.
        """
        repairs = _repairs([each for each in trial.findings if each.severity == "error" and each.verified])
        if not repairs or not {"bottleneck", "frozen"} <= {curve.arm for curve in trial.curves}:
            return None
        # A spec does not tell a mended arm from the one that it was.
        repaired = trial.repaired if trial.repaired is not None and not trial.repaired.mends else None
        try:
            if not deadline.passed():
                self._begin_aside(probed, repaired, repairs, range(1))
        except KeyboardInterrupt:
            deadline.interrupted = True
        return self._replays(self._counterfactuals(probed, repaired, repairs), probed)

    def _begin_aside(
        self,
        probed: Probed,
        repaired: Probed | None,
        repairs: Mapping[str, Patch],
        repetitions: Sequence[int],
        *,
        wholly: bool = False,
    ) -> None:
        """Begins the first counterfactuals of some repetitions, where they run beside other work; else none.

        Args:
            probed: The experiment as declared; its arms are as they were afterwards.
            repaired: The same repaired, where it was measured.
            repairs: What repairs each cause.
            repetitions: Which.
            wholly: And where nothing of their networks has to be run before.
        """
        arms = [observed.arm for each in (probed, repaired) if each for observed in (each.bottleneck, each.frozen)]
        if not all(self._runs_aside(arm, probed, wholly=wholly) for arm in arms[:2]):
            return
        replays = self._replays(self._counterfactuals(probed, repaired, repairs, aside=True), probed)
        with undisturbed(*(arm.model for arm in arms)), suppress(_HereError):
            prepare(wanted(replays, *repetitions)[: replays.ahead])

    def _runs_aside(self, arm: Arm, probed: Probed, *, wholly: bool) -> bool:
        """Whether an arm's training runs beside others; for one in phases, whether its first one does."""
        if not arm.begins_anew:
            return False
        evidence = getattr(probed.evidence, arm.name)
        with _quiet():
            return runs_aside(arm, evidence=evidence, rehearsals=self.rehearsals, wholly=wholly)

    def attribute(self, replays: Replays | None, trial: Trial, deadline: Deadline) -> tuple[Attribution | None, Trial]:
        """Trains counterfactuals to see how much of the gap each cause makes.

        Args:
            replays: What ``counterfactuals`` returned.
            trial: What came of the repairs.
            deadline: As for ``follow``.

        Returns:
            How the gap divides, None where that cannot be said; and the trial with the share of each cause and the
            curves of each single repair.
        """
        if replays is None:
            return None, trial
        missing = self._train_all(wanted(replays, *range(REPETITIONS)), deadline)
        self._stop()
        found = attribution(replays, missing)
        if found is None:
            return None, replace(trial, undivided=missing)
        shares = {share["code"]: share["share"] for share in found["shares"]}
        findings = tuple(
            replace(finding, share=shares[finding.code]) if finding.code in shares and finding.verified else finding
            for finding in trial.findings
        )
        return found, replace(trial, findings=findings, curves=(*trial.curves, *_single_repairs(replays)))

    def _counterfactuals(
        self, probed: Probed, repaired: Probed | None, repairs: Mapping[str, Patch], *, aside: bool = False
    ) -> Counterfactuals:
        """Trains counterfactuals; raises where one cannot run beside others, if it is only for those that can."""

        def train_arm(arm: Arm, built_for: Experiment) -> Callable[[], tuple[Curve, ...]]:
            stage = f"replay {next(self._numbers)}"

            def here(arm: Arm) -> tuple[Curve, ...]:
                return self._train(arm, built_for, probed.evidence, stage).curves

            begins = begin_in_phases if built_for.phases_of(arm.name) else begin
            with _quiet():
                begun = arm.begins_anew and begins(
                    arm,
                    partial(self.progress, stage),
                    evidence=getattr(probed.evidence, arm.name),
                    rehearsals=self.rehearsals,
                    folder=self.builder.cache,
                )
            if not begun and aside:
                raise _HereError
            if not begun:
                curves = here(arm)
                return lambda: curves

            def wait() -> tuple[Curve, ...]:
                try:
                    return begun()
                except Exception:  # noqa: BLE001  (memory was too short for several, say: once more, by itself)
                    return here(replace(self.builder, experiment=built_for).build(arm.name))

            return wait

        arms = {
            identity(observed.arm.name, each.experiment, fitted=False): observed.arm
            for each in (repaired, probed)
            if each is not None and not each.later
            for observed in (each.bottleneck, each.frozen)
        }
        builder = replace(self.builder, shares=True)
        return Counterfactuals(probed.experiment, repairs, builder, train_arm, self._trained, arms, self._begun)

    def _train_all(self, jobs: Sequence[Wanted], deadline: Deadline, *, whole: bool = False) -> str:
        """Trains what is wanted until the deadline, or all of it; what is missing.

        Raises:
            KeyboardInterrupt: Of what is wanted whole, and says nothing in part.
        """
        out_of_time = (lambda: False) if whole else deadline.passed
        missing = train_all(jobs, out_of_time, spent=_why_passed(deadline))
        if missing.startswith(INTERRUPTED):
            deadline.interrupted = True
            if whole:
                raise KeyboardInterrupt
        return missing

    def _replays(self, counterfactuals: Counterfactuals, probed: Probed) -> Replays:
        """Enough is begun that no worker ever waits for what has to be prepared in Python."""
        ahead = 8 * self.rehearsals.workers.count
        causes = tuple(counterfactuals.repairs)
        return Replays(causes, counterfactuals, _samples(probed), counterfactuals.begin, ahead)

    def _train(
        self,
        arm: Arm,
        experiment: Experiment,
        evidence: Evidence,
        stage: str,
        observed: Observed | None = None,
        *,
        allowance: Allowance = UNLIMITED,
    ) -> _Run:
        """One arm, trained; and what it came to, where that is asked of an observed arm.

        Args:
            arm: The arm.
            experiment: What it was built for.
            evidence: What was measured on it, or on the arm that it is a counterfactual of.
            stage: What the progress is told.
            observed: The arm as it was measured, where its outcome is asked for.
            allowance: What ends the training.

        Raises:
            OverBudgetError: It would have taken longer than is allowed.
        """

        def progress(done: int, total: int) -> None:
            self.progress(stage, done, total)

        with _quiet():
            # A dataset goes on from where the probes left it, so another is made.
            if experiment.phases_of(arm.name) or not arm.begins_anew:
                arm = replace(self.builder, experiment=experiment).build(arm.name)
            asked = observed is not None and any(check.subject == "training" for check in self.checks)
            parts: list[tuple[Curve, ...]] = []
            epochs: dict[str, int] = {}
            outcome: dict[str, Outcome] = {}
            with undisturbed(arm.model):
                for at, training in train_in_phases(
                    arm,
                    allowance.guarded(progress),
                    evidence=getattr(evidence, arm.name),
                    rehearsals=self.rehearsals,
                    folder=self.builder.cache,
                ):
                    phase = at.phase or experiment.phase
                    parts.append(training.curves)
                    epochs[phase] = max((len(curve.values) for curve in training.curves), default=0)
                    if asked and observed is not None:
                        came_to = measure_outcome(at.model, observed, training.curves)
                        outcome |= {} if came_to is None else {phase: came_to}
        return _Run(joined(parts), outcome, epochs)


def _cannot(error: Exception) -> str:
    return f"it cannot be followed: {error}"


def _why_passed(deadline: Deadline) -> str:
    return INTERRUPTED if deadline.interrupted else SPENT


def _observed(builder: Builder, name: ArmName) -> Observed:
    """One arm, built and measured; what the user's own functions make of it is built twice."""
    phase = builder.experiment.phase
    observed = observe(builder.build_in_phase(name, phase, fit_once) if phase else builder.build(name))
    spec = getattr(builder.experiment, name)
    if isinstance(spec, CodeArm):
        # No more than the features once more, which one epoch of the frozen arm computes as well.
        with undisturbed(*observed.arm.network), kept_arrays(observed.arm):
            return replace(observed, repeat=repeat_of_arms(observed, builder.build(name)))
    if spec.backbone.callable is not None:
        return replace(observed, repeat=repeat_of_networks(builder.network(name), builder.network(name)))
    return observed


def _mended(builder: Builder, before: Probed, bottleneck: Observed, mends: Sequence[Patch]) -> Observed:
    """A frozen arm of the user's code, built again, changed and measured; that it repeats itself is known."""
    measured = before.frozen
    with kept_arrays(bottleneck.arm, measured.arm):
        arm = builder.build("frozen")
    parts = parts_of(arm.model, measured.arm.model, before.evidence.frozen.layers)
    return replace(observe(mended(arm, parts, bottleneck.arm, mends)), repeat=measured.repeat)


def _mendable(findings: Sequence[Finding], probed: Probed) -> list[Finding]:
    """Those whose repair can be done to the live frozen arm."""
    return [each for each in findings if mendable(each.live, probed.frozen.arm, probed.bottleneck.arm)]


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


def _repairs(findings: Sequence[Finding]) -> dict[str, Patch]:
    """What repairs each cause, by code."""
    repairs: dict[str, Patch] = {}
    for finding in findings:
        if finding.repair is not None and finding.repair.patch:
            repairs[finding.code] = {**repairs.get(finding.code, {}), **finding.repair.patch}
    return repairs


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
    repair, live = finding.repair, None
    if repair is not None and repair.patch is not None:
        patch = concrete(repair.patch, experiment)
        live = repair.patch if patch is None and isinstance(experiment.frozen, CodeArm) else None
        repair = replace(repair, patch=patch)
    return replace(finding, location=location, repair=repair, live=live)
