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
    pools: list[ProcessPoolExecutor] = []

    def measure(cases: Sequence[Case]) -> Iterator[tuple[Case, Outcome]]:
        # New processes in rounds: a pool that replaces its own can wait for ever for the last of them (CPython 115634).
        for start in range(0, len(cases), jobs * MOST_CASES):
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(max_workers=jobs, mp_context=context, initializer=_begin)
            pools.append(pool)
            begun = {pool.submit(_measured, case, folder): case for case in cases[start : start + jobs * MOST_CASES]}
            for done in as_completed(begun):
                yield begun[done], done.result()
            pool.shutdown()

    try:
        yield measure
    finally:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    sys.stdout = sys.stderr


def _measured(case: Case, folder: Path) -> Outcome:
    return _prober(folder)(case)


@cache
def _prober(folder: Path) -> Callable[[Case], Outcome]:
    from prober import Prober

    return Prober(folder)
