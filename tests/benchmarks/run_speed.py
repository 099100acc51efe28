"""How fast the doors are, against bounds: ``python tests/benchmarks/run_speed.py [--write]``.

Every figure is of whole processes, as a user waits for them. Run it on an idle machine. Exits with 1 where a bound is
missed; ``--write`` also writes the table to ``reports/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from table import ROOT, TIMES, Row, as_text, environment, listed, write_section

RUNS = 3
TITLE = "A run, and the quick commands"

COMBINED = ["-m", "equivcheck", "run", "--quiet", "fixtures/combined/spec.yaml"]
WITHOUT_REPLAYS = [*COMBINED, "--no-replay"]
IMPORT = ["-c", "import tensorflow, keras"]
HELP = ["-m", "equivcheck", "--help"]
EXPLAIN = ["-m", "equivcheck", "explain", "EQ402"]

#: The check costs at most this many imports of what it cannot do without: with all counterfactual trainings, and
#: without any.
MOST_IMPORTS = {"": 6.0, " --no-replay": 5.0}
#: What a person does not notice waiting for.
MOST_SECONDS = 0.4

#: Runs Python with arguments once and gives the seconds it took.
Timer = Callable[[Sequence[str], int], float]


def seconds(arguments: Sequence[str], expected: int) -> float:
    """Wall-clock seconds of one process that must leave with the expected exit code."""
    with tempfile.TemporaryDirectory() as cache:
        # An empty cache each time: stored features of an earlier run would flatter.
        environment = {**os.environ, "EQUIVCHECK_CACHE": cache}
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, check=False, capture_output=True, text=True
        )
        took = time.perf_counter() - start
    if done.returncode != expected:
        raise SystemExit(f"{' '.join(arguments)} left with {done.returncode}, not {expected}:\n{done.stderr}")
    return took


def measure(timer: Timer = seconds, *, runs: int = RUNS) -> list[Row]:
    """All rows. The two sides of the ratio take turns, so that a slower minute slows both."""
    turns = [(timer(COMBINED, 1), timer(WITHOUT_REPLAYS, 1), timer(IMPORT, 0)) for _ in range(runs)]
    *checks, imports = zip(*turns, strict=True)
    rows = [
        Row(
            f"equivcheck run fixtures/combined/spec.yaml{how} / import tensorflow, keras",
            statistics.median(took) / statistics.median(imports),
            most,
            TIMES,
            f"{listed(took)} / {listed(imports)}",
        )
        for (how, most), took in zip(MOST_IMPORTS.items(), checks, strict=True)
    ]
    for arguments in (HELP, EXPLAIN):
        timer(arguments, 0)  # the first run may have to compile modules; a user meets that once
        took = [timer(arguments, 0) for _ in range(runs)]
        rows.append(Row(" ".join(arguments[1:]), statistics.median(took), MOST_SECONDS, "s", listed(took)))
    return rows


def main(arguments: Sequence[str] | None = None, timer: Timer = seconds) -> int:
    """Measures, shows, and says by its exit code whether all bounds were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="also write reports/benchmarks.md")
    chosen = parser.parse_args(arguments)
    rows = measure(timer)
    sys.stdout.write(f"{environment()}\n{as_text(rows)}\n")
    if chosen.write:
        how = f"Median of {RUNS} runs of whole processes; made by `tests/benchmarks/run_speed.py --write`."
        write_section(ROOT, TITLE, how, rows)
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
