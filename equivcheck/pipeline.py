"""``run(spec) -> Report``: the whole check, from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from equivcheck import runtime
from equivcheck.catalog import all_checks, matches
from equivcheck.check import Check
from equivcheck.errors import SpecError
from equivcheck.findings import Finding, Skipped
from equivcheck.measured import Curve, curves_equal
from equivcheck.report.model import Report, Verdict
from equivcheck.report.summary import summarise
from equivcheck.settings import settings_of
from equivcheck.spec import Document, Experiment, check_paths, load, resolve

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
    curves: bool = True,
) -> Report:
    """Checks a spec that has been read, and perhaps patched.

    Args:
        document: The spec.
        select: As for ``run``.
        ignore: As for ``run``.
        cache_dir: As for ``run``.
        progress: As for ``run``.
        curves: Whether to train the arms for their curves.
    """
    clock = _Clock(progress)
    experiment = resolve(document)
    if problems := check_paths(experiment):
        raise SpecError(problems)
    with clock.stage("loading TensorFlow"):
        runtime.prepare()
        from equivcheck.arms.build import Builder  # noqa: PLC0415  (behind the wall)
        from equivcheck.arms.feature_cache import default_folder  # noqa: PLC0415
        from equivcheck.laboratory import Laboratory  # noqa: PLC0415
    checks = _chosen(select, ignore)
    laboratory = Laboratory(checks, Builder(experiment, cache_dir or default_folder()), progress)
    with clock.stage("comparing the arms layer by layer"):
        probed = laboratory.probe(experiment)
    trained: tuple[Curve, ...] = ()
    if curves:
        with clock.stage("training both arms"):
            trained = laboratory.train(probed)
    with clock.stage("trying the repairs"):
        trial = laboratory.try_repairs(probed, trained)
    examination, evidence = probed.examination, probed.evidence
    obstacle = _obstacle(examination.skipped, trained)
    verdict = _verdict(trial.findings, obstacle, trained)
    return Report(
        name=experiment.name,
        verdict=verdict,
        summary=summarise(
            experiment.name,
            verdict,
            trial.findings,
            examination.cleared,
            trial.curves,
            evidence.first_divergence,
            compared=evidence.matched,
            reason=obstacle,
        ),
        findings=trial.findings,
        cleared=examination.cleared,
        skipped=(*examination.skipped, *_left_out(checks)),
        layers=evidence.rows,
        first_divergence=evidence.first_divergence,
        parameters={name: arm.parameters for name, arm in evidence.arms()},
        curves=trial.curves,
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


def _obstacle(skipped: Sequence[Skipped], curves: Sequence[Curve]) -> str | None:
    """Why the arms cannot be called equivalent although nothing was found."""
    if failed := [f"{check.code}: {check.reason}" for check in skipped if check.failed]:
        return "; ".join(failed)
    if not all(math.isfinite(value) for curve in curves for value in curve.values):
        return "the training reached NaN or infinity, and such curves say nothing"
    return None


def _verdict(findings: Sequence[Finding], obstacle: str | None, curves: Sequence[Curve]) -> Verdict:
    """Divergent on any error, or on curves that differ although no check says why."""
    if any(finding.severity == "error" for finding in findings):
        return "divergent"
    if obstacle is not None:
        return "inconclusive"
    return "equivalent" if curves_equal(curves, "bottleneck", "frozen") else "divergent"


def _observed(experiment: Experiment) -> dict[str, str]:
    observed = experiment.observed
    if observed is None:
        return {}
    return {name: str(path) for name in ("bottleneck", "frozen") if (path := getattr(observed, name)) is not None}
