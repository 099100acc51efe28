"""Runs one case, as a user's own run would: both arms built and measured."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from pathlib import Path

from cases import CLEAN, Case, Outcome

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
            findings, failed = self._examined(case)
            trouble = None
        except EquivcheckError as error:
            findings, failed, trouble = (), (), f"{type(error).__name__}: {error}"
        except Exception as error:  # noqa: BLE001  (a bug of ours is what a study is there to find)
            findings, failed, trouble = (), (), f"bug: {type(error).__name__}: {error}"
        gc.collect()  # the arms, before the next ones are built
        return Outcome(
            errors=tuple(dict.fromkeys(finding.code for finding in of_severity(findings, "error"))),
            others=tuple(sorted({finding.code for finding in findings if finding.severity != "error"})),
            failed=failed,
            trouble=trouble,
            seconds=round(time.perf_counter() - start, 2),
        )

    def _examined(self, case: Case) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
        from equivcheck import runtime

        runtime.prepare()
        from equivcheck.arms.build import Builder
        from equivcheck.laboratory import Laboratory

        document = self.document(case)
        if case.trained:
            from equivcheck.pipeline import run_document

            report = run_document(document, cache_dir=self.folder / "features")
            return report.findings, tuple(skipped.code for skipped in report.skipped if skipped.failed)
        experiment = resolve(document)
        builder = Builder(experiment, self.folder / "features")
        examination = Laboratory(all_checks(), builder, lambda *_: None).probe(experiment).examination
        return examination.findings, examination.failed

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
