"""Where cases are run: in this process, or in several that are replaced when they have grown."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from cases import Case, Outcome

#: Networks and traced functions of some hundred cases fill several GB; TensorFlow is imported in five seconds.
MOST_CASES = 60

#: Runs cases and gives what came of each, in whatever order they end.
Measure = Callable[[Sequence[Case]], Iterable[tuple[Case, Outcome]]]


@contextmanager
def in_this(probe: Callable[[Case], Outcome]) -> Iterator[Measure]:
    """One case after the other, in this process."""
    yield lambda cases: ((case, probe(case)) for case in cases)


@contextmanager
def in_processes(jobs: int, folder: Path) -> Iterator[Measure]:
    """As many cases side by side as there are processes; what user code prints goes to stderr."""
    pool = ProcessPoolExecutor(
        max_workers=jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        max_tasks_per_child=MOST_CASES,
    )

    def measure(cases: Sequence[Case]) -> Iterator[tuple[Case, Outcome]]:
        begun = {pool.submit(_measured, case, folder): case for case in cases}
        for done in as_completed(begun):
            yield begun[done], done.result()

    try:
        yield measure
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    sys.stdout = sys.stderr


def _measured(case: Case, folder: Path) -> Outcome:
    return _prober(folder)(case)


@cache
def _prober(folder: Path) -> Callable[[Case], Outcome]:
    from prober import Prober

    return Prober(folder)
