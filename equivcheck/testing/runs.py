"""Runs each spec once in a test session, also where pytest-xdist spreads its tests over several processes."""

from __future__ import annotations

import hashlib
import json
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

from equivcheck.errors import EquivcheckError
from equivcheck.report.files import write_atomically
from equivcheck.report.json_format import dumps, loads
from equivcheck.report.model import Report
from equivcheck.testing.options import Options, options_of

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

#: Seconds between two looks at what another process is doing.
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a run: a report, or what stopped it."""

    report: Report | None
    failure: str = ""


@dataclass
class Runs:
    """The runs of one session.

    Attributes:
        options: What the test run asks for.
        root: The root folder, which names reports.
        shared: Folder that all processes of the session share; None where there is one process.
    """

    options: Options
    root: Path
    shared: Path | None = None
    _known: dict[Path, Ran] = field(default_factory=dict)
    _told: set[Path] = field(default_factory=set)

    def of(self, spec: Path, others: Iterable[Path] = ()) -> Ran:
        """What came of a spec.

        Args:
            spec: The spec.
            others: Specs that the session needs too. Where another process is at work on the first, this one does not
                wait for it, but runs one of these that nobody has begun.
        """
        spec, waiting = spec.absolute(), dict.fromkeys(other.absolute() for other in others)
        while spec not in self._known:
            # Its own first; of the others one at a time, as the own may be ready by then.
            for each in (spec, *waiting):
                if each not in self._known and (ran := self._attempt(each)) is not None:
                    self._known[each] = ran
                    break
            else:
                time.sleep(_PAUSE)
        return self._known[spec]

    def is_first(self, spec: Path) -> bool:
        """Whether this is the first question of its kind: one test tells why a run failed, the others refer to it."""
        spec = spec.absolute()
        if spec in self._told or (self.shared is not None and not _made(self._file(spec, "told"))):
            return False
        self._told.add(spec)
        return True

    def _attempt(self, spec: Path) -> Ran | None:
        """Runs a spec, or takes another process' result; None while another is still at it."""
        if self.shared is None:
            return self._run(spec)
        result = self._file(spec, "json")
        with _claimed(self._file(spec, "lock")) as mine:
            if result.exists():
                return _read(result)
            if not mine:
                return None
            ran = self._run(spec)
            write_atomically(result, _written(ran))
            return ran

    def _file(self, spec: Path, suffix: str) -> Path:
        assert self.shared is not None
        self.shared.mkdir(parents=True, exist_ok=True)  # a worker on another machine
        return self.shared / f"{hashlib.sha256(str(spec).encode()).hexdigest()[:32]}.{suffix}"

    def _run(self, spec: Path) -> Ran:
        ran = _run(spec, self.options)
        if ran.report is not None and self.options.reports is not None:
            self.options.reports.mkdir(parents=True, exist_ok=True)
            write_atomically(self.options.reports / f"{self._name(spec)}.json", dumps(ran.report))
        return ran

    def _name(self, spec: Path) -> str:
        """Tells two specs of one name apart by their folders."""
        inside = spec.relative_to(self.root) if spec.is_relative_to(self.root) else Path(spec.name)
        return "-".join(inside.with_suffix("").parts)


_RUNS = pytest.StashKey[Runs]()


def runs_of(config: pytest.Config) -> Runs:
    """The runs of this session."""
    if _RUNS not in config.stash:
        given = getattr(config, "workerinput", {}).get("equivcheck_folder")
        config.stash[_RUNS] = Runs(options_of(config), config.rootpath, Path(given) if given else None)
    return config.stash[_RUNS]


def _run(spec: Path, options: Options) -> Ran:
    from equivcheck.pipeline import run  # noqa: PLC0415  (collecting needs no NumPy)

    budget: dict[str, Any] = {} if options.budget is None else {"budget": options.budget}
    try:
        with warnings.catch_warnings():
            # Where a project makes warnings errors it means its own code, not Keras at work inside this run.
            warnings.simplefilter("default")
            return Ran(run(spec, replay=options.replay, **budget))
    except EquivcheckError as error:
        return Ran(None, str(error))
    except SystemExit as error:
        return Ran(None, f"{spec}: code of the spec left the program (sys.exit({error.code!r}))")
    except Exception:  # noqa: BLE001  (a bug of ours: the test that meets it shows all of it)
        return Ran(None, f"{spec}: equivcheck itself failed\n{traceback.format_exc()}")


def _written(ran: Ran) -> str:
    return dumps(ran.report) if ran.report is not None else json.dumps({"failure": ran.failure})


def _read(file: Path) -> Ran:
    text = file.read_text(encoding="utf-8")
    failure = json.loads(text).get("failure")
    return Ran(loads(text)) if failure is None else Ran(None, failure)


def _made(file: Path) -> bool:
    """Makes a file; False where it is there already."""
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Whether this process has the lock, which ends with the block, and also with a process that crashes."""
    with path.open("a+") as file:
        yield _locked(file)


def _locked(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
