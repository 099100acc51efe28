"""Trainings that run beside one another, and beside what prepares the next: a compiled one needs nothing of Python.

A step of a small network is a hundred small operations, one waiting for the other: it keeps one core busy at best. So
there is a thread for each core.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

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
        self._stopping = Event()

    def submit(self, work: Callable[[Checkpoint], _T]) -> Future[_T]:
        """Begins something as soon as a core is free."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.count, thread_name_prefix="replay")
        stopping = self._stopping

        def check() -> None:
            if stopping.is_set():
                raise StoppedError

        return self._pool.submit(work, check)

    def stop(self) -> None:
        """Ends all that runs at its next checkpoint, and begins nothing of what waits."""
        self._stopping.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool, self._stopping = None, Event()


def _cores() -> int:
    """Cores that this process may use; where the system does not say, all there are."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1
