"""Trainings that run beside one another, and beside what prepares the next: a compiled one needs nothing of Python.

A step of a small network is a hundred small operations, one waiting for the other: it keeps one core busy at best. So
there is a thread for each core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any, TypeVar

_T = TypeVar("_T")

#: Preparing a training takes a third of the time of running it, on one core: more workers than this would only wait.
_MOST = 8

#: Is called now and then by what runs aside; raises where nobody waits for it any more.
Checkpoint = Callable[[], None]


class StoppedError(Exception):
    """Nobody waits for this training any more."""


class Workers:
    """Threads that are started when they are first needed."""

    def __init__(self) -> None:
        self.count = min(_MOST, _cores())
        self._pool: ThreadPoolExecutor | None = None
        self._first: dict[Hashable, Future[Any]] = {}
        self._stopping = Event()

    def submit(self, work: Callable[[Checkpoint], _T], like: Hashable = None) -> Future[_T]:
        """Begins something as soon as a core is free.

        Args:
            work: The work.
            like: What it has in common with others, of which the first computes what the others then need: these wait
                for it while the cores do something else.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="replay")
        pool, stopping = self._pool, self._stopping

        def check() -> None:
            if stopping.is_set():
                raise StoppedError

        if like is None:
            return pool.submit(work, check)
        first = self._first.get(like)
        if first is None:
            self._first[like] = first = pool.submit(work, check)
            return first
        mine = Future[_T]()
        first.add_done_callback(lambda _: _pass_on(pool, partial(work, check), mine))
        return mine

    def stop(self) -> None:
        """Ends all that runs at its next checkpoint, and begins nothing of what waits."""
        self._stopping.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool, self._stopping, self._first = None, Event(), {}


def _pass_on(pool: ThreadPoolExecutor, work: Callable[[], _T], mine: Future[_T]) -> None:
    """Begins a work that has waited for another, and hands on what comes of it."""

    def ended(theirs: Future[_T]) -> None:
        error = StoppedError() if theirs.cancelled() else theirs.exception()
        if error is None:
            mine.set_result(theirs.result())
        else:
            mine.set_exception(error)

    try:
        pool.submit(work).add_done_callback(ended)
    except RuntimeError as error:  # the pool was shut down in the meantime
        mine.set_exception(StoppedError(str(error)))


def _cores() -> int:
    """Cores that this process may use; where the system does not say, all there are."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1
