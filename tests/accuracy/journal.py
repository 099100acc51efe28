"""Outcomes that outlive the process: one line of JSON a case, so that a study can be stopped and taken up again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from cases import ROOT, Case, Outcome

#: What decides about an outcome beside the case itself.
_DECIDING = ("equivcheck/**/*.py", "fixtures/**/*.py", "fixtures/**/*.yaml", "fixtures/**/*.keras")
#: What only shows an outcome, or leads to the pipeline.
_SHOWING = ("report", "cli", "pytest_plugin.py", "callback.py")


@cache
def source() -> str:
    """Hash of the package, the fixtures, the prober and the versions: with another one, an outcome is stale."""
    digest = hashlib.sha256()
    files = [
        path
        for pattern in _DECIDING
        for path in sorted(ROOT.glob(pattern))
        if not set(path.relative_to(ROOT / path.relative_to(ROOT).parts[0]).parts[:1]) & set(_SHOWING)
    ]
    for path in [*files, Path(__file__).with_name("prober.py")]:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(" ".join(version(name) for name in ("tensorflow", "keras", "numpy")).encode())
    return digest.hexdigest()


class Journal:
    """The outcomes of one state of the package.

    Args:
        folder: Where journals are kept; one file for each state of the package.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{source()[:16]}.jsonl"
        self._known = dict(self._read())

    def get(self, case: Case) -> Outcome | None:
        """What came of the case, if it was run."""
        return self._known.get(case.key)

    def keep(self, case: Case, outcome: Outcome) -> None:
        """Appends one outcome; what is written stays if the next case is interrupted."""
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
