"""Results that several trainings need, each computed once: by the first that asks, while others wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from threading import Lock
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")
_Key = tuple[Any, ...]


class Memo(Generic[_T]):
    """Results by what decides them; what was not asked for longest is forgotten first.

    Args:
        size: How many bytes a result takes.
        most: How many all may take; the last one is kept whatever it takes.
    """

    def __init__(self, size: Callable[[_T], int], most: int) -> None:
        self._size, self._most = size, most
        self._known: dict[_Key, Future[_T]] = {}
        self._taken: dict[_Key, int] = {}
        self._lock = Lock()

    def get(self, key: _Key, compute: Callable[[], _T]) -> _T:
        """The result of a key.

        Raises:
            Exception: What computing it raised, to the one who computed it; others then try by themselves.
        """
        while True:
            with self._lock:
                known = self._known.pop(key, None)
                mine = Future[_T]() if known is None else known
                self._known[key] = mine  # now the last that was asked for
            if known is None:
                return self._computed(key, mine, compute)
            if known.exception() is None:
                return known.result()

    def finished(self) -> Iterator[tuple[_Key, _T]]:
        """All results that there are, the last that was asked for first; asking so does not count."""
        with self._lock:
            known = list(self._known.items())
        for key, each in reversed(known):
            if each.done() and each.exception() is None:
                yield key, each.result()

    def _computed(self, key: _Key, mine: Future[_T], compute: Callable[[], _T]) -> _T:
        try:
            result = compute()
        except BaseException as error:
            with self._lock:
                self._known.pop(key, None)
            mine.set_exception(error)
            raise
        mine.set_result(result)
        self._forget(key, self._size(result))
        return result

    def _forget(self, last: _Key, taken: int) -> None:
        """Makes room for the last result, which takes some bytes."""
        with self._lock:
            self._taken[last] = taken
            left = self._most
            for place, key in enumerate(reversed(list(self._known))):
                left -= self._taken.get(key, 0)  # nothing, while it is computed
                if place and left < 0 and key in self._taken:
                    del self._known[key], self._taken[key]
