"""``run(spec) -> Report``: the whole check, from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from equivcheck import runtime
from equivcheck.catalog import all_checks, check_of, matches
from equivcheck.check import Check
from equivcheck.errors import SpecError
from equivcheck.evidence import Evidence
from equivcheck.findings import ArmName, Cleared, Finding, Skipped
from equivcheck.measured import Attribution, Curve, PhaseSpan, WhatIf, curves_equal
from equivcheck.observed import Declared, read_logs
from equivcheck.recorded import observed_of, run_recording
from equivcheck.report.model import Report, Verdict
from equivcheck.report.numbers import duration
from equivcheck.report.ranking import ranked
from equivcheck.report.summary import summarise
from equivcheck.settings import settings_of
from equivcheck.spec import CodeArm, Document, Experiment, Recording, check_paths, load, recording, resolve

_ACTIVATIONS, _NOT_REPRODUCIBLE = "EQ701", "EQ705"

#: Is told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]

#: Seconds for trainings where nothing else is asked for: a coffee, not a lunch.
BUDGET = 120.0


def run(
    path: str | Path,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    cache_dir: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
    curves: bool = True,
    replay: bool = True,
    budget: float = BUDGET,
) -> Report:
    """Checks one spec.

    Args:
        path: The spec.
        select: Codes or prefixes of the checks to run; all where empty.
        ignore: Codes or prefixes of checks to leave out.
        cache_dir: Folder of the feature cache; the user's cache folder by default.
        progress: Told of every stage.
        curves: Whether to train the arms for their curves, without which nothing can be replayed either.
        replay: Whether to train counterfactuals, which tell how much of the gap each cause makes.
        budget: Seconds that trainings may take. Arms that would take longer are not trained; when they are spent, no
            further counterfactual is begun.

    Returns:
        The report.

    Raises:
        SpecError: The spec, or a file it names, cannot be used.
        UserCodeError: A callable of the spec raised.
        InconclusiveError: The arms could not be compared.
    """
    return run_document(
        load(path),
        select=select,
        ignore=ignore,
        cache_dir=cache_dir,
        progress=progress,
        curves=curves,
        replay=replay,
        budget=budget,
    )


def run_document(
    document: Document,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    cache_dir: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
    curves: bool = True,
    replay: bool = True,
    budget: float = BUDGET,
) -> Report:
    """Checks a spec that has been read, and perhaps patched.

    Args:
        document: The spec.
        select: As for ``run``.
        ignore: As for ``run``.
        cache_dir: As for ``run``.
        progress: As for ``run``.
        curves: As for ``run``.
        replay: As for ``run``.
        budget: As for ``run``.
    """
    clock = _Clock(progress)
    checks = _chosen(select, ignore)
    if (logs_only := recording(document)) is not None:
        return _of_logs(logs_only, checks)
    experiment = resolve(document)
    if problems := check_paths(experiment):
        raise SpecError(problems)
    _check_logs(experiment)
    with clock.stage("loading TensorFlow"):
        runtime.prepare()
        from equivcheck.arms.build import Builder  # noqa: PLC0415  (behind the wall)
        from equivcheck.arms.feature_cache import default_folder  # noqa: PLC0415
        from equivcheck.laboratory import Laboratory  # noqa: PLC0415
    laboratory = Laboratory(checks, Builder(experiment, cache_dir or default_folder()), progress)
    with clock.stage("comparing the arms layer by layer"):
        probed = laboratory.probe(experiment)
    trained: tuple[Curve, ...] = ()
    epochs: Mapping[str, Mapping[ArmName, int]] = {}
    untrained = None if curves else "as asked"
    allowance = laboratory.allowance(budget)
    shares: Attribution | None = None
    what_if: tuple[WhatIf, ...] = ()
    with laboratory.open():
        if curves:
            with clock.stage("training both arms"):
                training = laboratory.train(probed, allowance, replay=replay)
                trained, probed = training.curves, laboratory.judge_again(probed, training)
                epochs = training.epochs
                untrained = None if training.left_out is None else _too_long(training.left_out, budget)
        with clock.stage("trying the repairs"):
            trial = laboratory.try_repairs(probed, trained, allowance)
        if trained and replay:
            with clock.stage("replaying counterfactuals"):
                deadline = allowance.deadline()
                replays = laboratory.counterfactuals(probed, trial, deadline)
                followed = laboratory.follow(probed, deadline)
                shares, trial = laboratory.attribute(replays, trial, deadline)
                what_if = laboratory.weigh(followed, shares["metric"] if shares else None, deadline)
    examination, evidence = probed.examination, probed.evidence
    phases = tuple(_span(each.evidence, epochs) for each in probed.phases if each.evidence.phase is not None)
    obstacle = _obstacle(examination.skipped, trained, trial.findings)
    if curves and untrained is not None:
        obstacle = obstacle or f"no difference was found, but the arms were not trained: {untrained}"
    alike, cleared = curves_equal(trained, "bottleneck", "frozen"), examination.cleared
    if trained and not alike and not probed.errors:
        moved = laboratory.rounded_by_place(probed, trained)
        if alike := moved is not None:
            cleared = (*cleared, _rounded(moved))
    verdict = _verdict(trial.findings, obstacle, alike=alike)
    return Report(
        name=experiment.name,
        verdict=verdict,
        summary=summarise(
            experiment.name,
            verdict,
            trial.findings,
            cleared,
            trial.curves,
            evidence.first_divergence,
            attribution=shares,
            compared=evidence.matched,
            reason=obstacle,
            phases=phases,
            untrained=untrained,
            undivided=trial.undivided,
        ),
        findings=tuple(ranked(trial.findings)),
        cleared=cleared,
        skipped=(*examination.skipped, *_left_out(checks)),
        layers=evidence.rows,
        first_divergence=evidence.first_divergence,
        parameters={name: arm.parameters for name, arm in evidence.arms()},
        curves=trial.curves,
        attribution=shares,
        observed=observed_of(evidence.logs, _declared(experiment, evidence)),
        versions=runtime.versions(),
        machine=runtime.machine(),
        settings=settings_of(evidence),
        seconds=clock.seconds,
        phases=phases,
        what_if=what_if,
    )


def _declared(experiment: Experiment, evidence: Evidence) -> dict[ArmName, Declared]:
    """What the spec and its live data say of each arm's training."""
    found: dict[ArmName, Declared] = {}
    for name, arm in evidence.arms():
        spec, phases = getattr(experiment, name), experiment.phases_of(name)
        known = None if isinstance(spec, CodeArm) else spec.training
        epochs = known and sum(known.in_phase(phase).epochs for phase in phases or ("",))
        train, validation = arm.train, arm.validation
        validated = None if validation is None else validation.available or len(validation.samples[0])
        found[name] = Declared(epochs, len(train.batches[0]), len(train.samples[0]), validated)
    return found


def _too_long(seconds: float, budget: float) -> str:
    """Why nothing was trained, and the way to train it."""
    longer = math.ceil(1.5 * seconds)  # by half, for a step may be slower later
    return (
        f"that would take about {duration(seconds)} here, and trainings may take {duration(budget)} "
        f"(--budget {longer} trains them)"
    )


def _of_logs(logs_only: Recording, checks: Sequence[Check]) -> Report:
    """What can be said without a model."""
    if problems := check_paths(logs_only):
        raise SpecError(problems)
    report = run_recording(logs_only, checks)
    return replace(report, skipped=(*report.skipped, *_left_out(checks)))


class _Clock:
    """Tells the progress what stage has begun and keeps how long each took."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._progress(name, 0, 0)
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def _chosen(select: Sequence[str], ignore: Sequence[str]) -> tuple[Check, ...]:
    return tuple(
        check
        for check in all_checks()
        if (not select or matches(check.code, tuple(select))) and not matches(check.code, tuple(ignore))
    )


def _left_out(checks: Sequence[Check]) -> list[Skipped]:
    ran = {check.code for check in checks}
    return [Skipped(check.code, "not selected") for check in all_checks() if check.code not in ran]


def _span(evidence: Evidence, epochs: Mapping[str, Mapping[ArmName, int]]) -> PhaseSpan:
    """One phase as it is reported."""
    assert evidence.phase is not None
    done, frozen = epochs.get(evidence.phase.name, {}), evidence.frozen
    live = [each for each in frozen.layers if each.region == "backbone" and each.batch_gap > 0 and not each.composite]
    return PhaseSpan(
        evidence.phase.name,
        done.get("bottleneck"),
        done.get("frozen"),
        frozen.parameters.trainable,
        frozen.parameters.moved,
        len(live),
        evidence.first_divergence,
    )


def _obstacle(skipped: Sequence[Skipped], curves: Sequence[Curve], findings: Sequence[Finding]) -> str | None:
    """Why the arms cannot be called equivalent although nothing was found that makes them differ."""
    if any(finding.code == _NOT_REPRODUCIBLE for finding in findings):
        return "the user's code gives another arm on each run"
    if failed := [f"{check.code}: {check.reason}" for check in skipped if check.failed]:
        return "; ".join(failed)
    if not all(math.isfinite(value) for curve in curves for value in curve.values):
        return "the training reached NaN or infinity, and such curves say nothing"
    return None


def _rounded(moved: float) -> Cleared:
    """What is said of curves that part by rounding alone."""
    return check_of(_ACTIVATIONS).cleared(
        "This processor rounds a sample's features by its batch and its place there; trained on the features that "
        "the other arm has stored, the frozen arm's curves are the other's to the last bit",
        largest_relative_difference=moved,
    )


def _verdict(findings: Sequence[Finding], obstacle: str | None, *, alike: bool) -> Verdict:
    """Divergent on any error, or on curves that differ although no check says why.

    An arm that does not agree with itself is no difference between two arms.
    """
    if any(finding.severity == "error" and finding.code != _NOT_REPRODUCIBLE for finding in findings):
        return "divergent"
    if obstacle is not None:
        return "inconclusive"
    return "equivalent" if alike else "divergent"


def _check_logs(experiment: Experiment) -> None:
    """Reads the observed curves, before anything is executed."""
    if experiment.observed is not None:
        read_logs(experiment.observed.files)
