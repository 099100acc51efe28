"""``run(spec) -> Report``: the whole check, from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from equivcheck import runtime
from equivcheck.catalog import all_checks, matches
from equivcheck.check import Check
from equivcheck.errors import SpecError
from equivcheck.examine import Examination, examine
from equivcheck.findings import Finding, Skipped
from equivcheck.repair import concrete
from equivcheck.report.model import Curve, Report, Verdict
from equivcheck.report.summary import summarise
from equivcheck.settings import settings_of
from equivcheck.spec import Document, Experiment, check_paths, load, resolve

if TYPE_CHECKING:
    from equivcheck.arms.arm import Arm
    from equivcheck.evidence import Evidence

#: Is told what is being done, how much of it is done, and how much there is.
Progress = Callable[[str, int, int], None]


def run(
    path: str | Path,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    cache_dir: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Report:
    """Checks one spec.

    Args:
        path: The spec.
        select: Codes or prefixes of the checks to run; all where empty.
        ignore: Codes or prefixes of checks to leave out.
        cache_dir: Folder of the feature cache; the user's cache folder by default.
        progress: Told of every stage.

    Returns:
        The report.

    Raises:
        SpecError: The spec, or a file it names, cannot be used.
        UserCodeError: A callable of the spec raised.
        InconclusiveError: The arms could not be compared.
    """
    return run_document(load(path), select=select, ignore=ignore, cache_dir=cache_dir, progress=progress)


def run_document(
    document: Document,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    cache_dir: Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
    train: bool = True,
) -> Report:
    """Checks a spec that has been read, and perhaps patched.

    Args:
        document: The spec.
        select: As for ``run``.
        ignore: As for ``run``.
        cache_dir: As for ``run``.
        progress: As for ``run``.
        train: Whether to train both arms for their curves.
    """
    clock = _Clock(progress)
    experiment = resolve(document)
    if problems := check_paths(experiment):
        raise SpecError(problems)
    with clock.stage("loading TensorFlow"):
        runtime.prepare()
        from equivcheck.arms.build import Builder  # noqa: PLC0415  (behind the wall)
        from equivcheck.arms.feature_cache import default_folder  # noqa: PLC0415
        from equivcheck.trace.pair import trace_pair  # noqa: PLC0415
    with clock.stage("building both arms"):
        bottleneck, frozen = Builder(experiment, cache_dir or default_folder()).arms()
    with clock.stage("comparing layer by layer"):
        evidence = trace_pair(bottleneck, frozen)
    checks = _chosen(select, ignore)
    examination = examine(evidence, checks)
    if train:
        with clock.stage("training both arms"):
            evidence = _trained(evidence, bottleneck, frozen, progress)
    findings = tuple(_placed(finding, experiment) for finding in examination.findings)
    verdict = _verdict(examination, evidence)
    return Report(
        name=experiment.name,
        verdict=verdict,
        summary=summarise(
            experiment.name,
            verdict,
            findings,
            examination.cleared,
            evidence.curves,
            evidence.first_divergence,
            reason=_reason(examination) if verdict == "inconclusive" else None,
        ),
        findings=findings,
        cleared=examination.cleared,
        skipped=(*examination.skipped, *_left_out(checks)),
        layers=evidence.rows,
        first_divergence=evidence.first_divergence,
        parameters={name: arm.parameters for name, arm in evidence.arms()},
        curves=evidence.curves,
        observed=_observed(experiment),
        versions=runtime.versions(),
        machine=runtime.machine(),
        settings=settings_of(evidence),
        seconds=clock.seconds,
    )


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


def _trained(evidence: Evidence, bottleneck: Arm, frozen: Arm, progress: Progress) -> Evidence:
    """The evidence with both arms' curves; an arm whose loss refuses its labels has none."""
    from equivcheck.replay.training import train  # noqa: PLC0415  (behind the wall)

    curves: list[Curve] = []
    for arm in (bottleneck, frozen):
        if dict(evidence.arms())[arm.name].labels.failure is None:
            curves += train(arm, lambda name, done, total: progress(f"training the {name} arm", done, total)).curves
    return replace(evidence, curves=tuple(curves))


def _placed(finding: Finding, experiment: Experiment) -> Finding:
    """The finding with the line of the spec that it is about, and its repair as a patch of this spec."""
    location = experiment.locate(finding.arm, finding.key) if finding.key is not None else None
    if location is not None and finding.layer is not None:
        location = replace(location, layer=finding.layer)
    repair = finding.repair
    if repair is not None and repair.patch is not None:
        repair = replace(repair, patch=concrete(repair.patch, experiment))
    return replace(finding, location=location, repair=repair)


def _verdict(examination: Examination, evidence: Evidence) -> Verdict:
    if any(finding.severity == "error" for finding in examination.findings):
        return "divergent"
    if examination.failed:
        return "inconclusive"
    return "equivalent" if curves_equal(evidence.curves) else "divergent"


def curves_equal(curves: Sequence[Curve]) -> bool:
    """Whether both arms' curves are equal to the last bit."""
    by_arm = {(curve.arm, curve.metric): curve.values for curve in curves}
    metrics = {curve.metric for curve in curves}
    return all(by_arm.get(("bottleneck", metric)) == by_arm.get(("frozen", metric)) for metric in metrics)


def _reason(examination: Examination) -> str:
    return f"the checks {', '.join(examination.failed)} failed themselves"


def _observed(experiment: Experiment) -> dict[str, str]:
    observed = experiment.observed
    if observed is None:
        return {}
    return {name: str(path) for name in ("bottleneck", "frozen") if (path := getattr(observed, name)) is not None}
