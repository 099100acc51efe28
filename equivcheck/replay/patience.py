"""Work in parts, each of which takes about as long as a person waits for a sign of life."""

from __future__ import annotations

import time
from collections.abc import Iterator

#: Seconds.
_PATIENCE = 1.0


def portions(total: int) -> Iterator[tuple[int, int]]:
    """Parts of some units of work: the first unit of each, and how many; what is done with one is timed."""
    done, count = 0, 1
    while done < total:
        count = min(count, total - done)
        start = time.perf_counter()
        yield done, count
        took = time.perf_counter() - start
        done += count
        count = max(1, int(count * _PATIENCE / max(took, 1e-6)))
