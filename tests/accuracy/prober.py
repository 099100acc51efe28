"""Runs one case, as a user's own run would: both arms built and measured."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cases import CLEAN, Case, Outcome, missed

from equivcheck.catalog import all_checks
from equivcheck.errors import EquivcheckError
from equivcheck.findings import Finding
from equivcheck.report.ranking import of_severity
from equivcheck.spec import Document, load, resolve


@dataclass(frozen=True)
class Prober:
    """Measures cases.

    Attributes:
        folder: Where the cases' files and stored features go.
    """

    folder: Path

    def __call__(self, case: Case) -> Outcome:
        """What the tool says of a case; what it raises is part of the outcome."""
        start = time.perf_counter()
        try:
            outcome = self._trained(case) if case.trained else self._probed(case)
        except EquivcheckError as error:
            outcome = Outcome((), trouble=f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001  (a bug of ours is what a study is there to find)
            outcome = Outcome((), trouble=f"bug: {type(error).__name__}: {error}")
        gc.collect()  # the arms, before the next ones are built
        return replace(outcome, seconds=round(time.perf_counter() - start, 2))

    def _probed(self, case: Case) -> Outcome:
        """Without a training; where a cause is missed, with the repairs of the others applied, as a run does."""
        from equivcheck import runtime

        runtime.prepare()
        from equivcheck.arms.build import Builder
        from equivcheck.laboratory import Laboratory

        experiment = resolve(self.document(case))
        laboratory = Laboratory(all_checks(), Builder(experiment, self.folder / "features"), lambda *_: None)
        probed = laboratory.probe(experiment)
        found, failed = probed.examination.findings, probed.examination.failed
        seen = outcome_of(found, failed)
        if not missed(case, (*seen.errors, *seen.others)):
            return seen
        tried = outcome_of(laboratory.try_repairs(probed, ()).findings[len(found) :])
        return replace(seen, errors=(*seen.errors, *tried.errors), uncovered=tried.errors)

    def _trained(self, case: Case) -> Outcome:
        from equivcheck.pipeline import run_document

        # A slow machine must not leave a training out, and with it what only a training shows.
        report = run_document(self.document(case), cache_dir=self.folder / "features", replay=False, budget=math.inf)
        return outcome_of(report.findings, [skipped.code for skipped in report.skipped if skipped.failed])

    def document(self, case: Case) -> Document:
        """The spec of a case, its files written if it has any of its own."""
        path = CLEAN
        if case.files:
            folder = self.folder / "cases" / case.key[:16]
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in case.files.items():
                (folder / name).write_text(text, encoding="utf-8")
            path = folder / "spec.yaml"
        document = load(path)
        for patch in case.patches:
            document = document.patched(patch)
        return document


def outcome_of(findings: Sequence[Finding], failed: Sequence[str] = ()) -> Outcome:
    """The codes of findings, errors in the order in which a report shows them."""
    return Outcome(
        errors=tuple(dict.fromkeys(finding.code for finding in of_severity(findings, "error"))),
        others=tuple(sorted({finding.code for finding in findings if finding.severity != "error"})),
        failed=tuple(failed),
    )
