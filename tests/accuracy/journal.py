"""Outcomes that outlive the process: one line of JSON a case, so that a study can be stopped and taken up again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from cases import ROOT, Case, Outcome

#: What decides about an outcome beside the case itself.
_DECIDING = ("equivcheck/**/*.py", "fixtures/**/*", "tests/accuracy/prober.py")
#: What only shows an outcome, or leads to the pipeline; and the fixtures that no case of the study uses.
_BESIDE = (
    "equivcheck/report",
    "equivcheck/cli",
    "equivcheck/pytest_plugin.py",
    "equivcheck/callback.py",
    "fixtures/seeds",
)


def source() -> str:
    """Hash of the package, the fixtures, the prober and the versions: with another one, an outcome is stale."""
    digest = hashlib.sha256()
    beside = [ROOT / part for part in _BESIDE]
    files = sorted({path for pattern in _DECIDING for path in ROOT.glob(pattern)})
    for path in files:
        if path.is_dir() or path.suffix in {".md", ".pyc"} or any(path.is_relative_to(part) for part in beside):
            continue
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(" ".join(version(name) for name in ("tensorflow", "keras", "numpy")).encode())
    return digest.hexdigest()


class StaleError(Exception):
    """An outcome of which nobody knows what it is an outcome of."""


class Journal:
    """The outcomes of one state of the package.

    Args:
        folder: Where journals are kept; one file for each state of the package.
    """

    def __init__(self, folder: Path) -> None:
        self.source = source()
        self.path = folder / f"{self.source[:16]}.jsonl"
        self._known = dict(self._read())

    def get(self, case: Case) -> Outcome | None:
        """What came of the case, if it was run."""
        return self._known.get(case.key)

    def keep(self, case: Case, outcome: Outcome) -> None:
        """Appends one outcome; what is written stays if the next case is interrupted.

        Raises:
            StaleError: The package is another one than when the journal was opened: nobody knows which one it was that
                the outcome came of.
        """
        if source() != self.source:
            raise StaleError("the package or its fixtures changed while the study ran; run it again")
        self._known[case.key] = outcome
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": case.key, "name": case.name, "outcome": asdict(outcome)}) + "\n")

    def _read(self) -> Iterator[tuple[str, Outcome]]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                data = json.loads(line)
                yield data["key"], Outcome.from_data(data["outcome"])
            except (ValueError, KeyError, TypeError):
                continue  # a line that was cut off: its case is run again
