"""What a whole run of the four small cases costs: ``python tests/benchmarks/small_speed.py [--write]``.

Each is ``equivcheck run`` of the case's ``small.yaml`` with an empty cache: both arms, repairs, counterfactuals from
five seeds, and advice followed. It takes turns with a process that imports TensorFlow and Keras, so that a slower
minute slows both. Run it on an idle machine; all four take ten minutes, ``--cases`` takes them one at a time. Exits
with 1 where a bound is missed; ``--write`` also puts the rows into ``reports/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

from run_speed import IMPORT, Timer, seconds
from table import ROOT, TIMES, Row, as_text, environment, listed, merged, write_section

RUNS = 2
CASES = ("inception_v4", "flowers17", "inception_v3", "vgg16_xray")
TITLE = "The four cases, small, with attribution"
HOW = (
    f"`equivcheck run` on `fixtures/seeds/*/small.yaml`, an empty cache; median of {RUNS} runs, each between imports. "
    "Made by `tests/benchmarks/small_speed.py --write`."
)
#: Most times the import of TensorFlow and Keras.
MOST_IMPORTS = 10.0


def measure(case: str, timer: Timer = seconds, *, runs: int = RUNS) -> Row:
    """The table line of one case."""
    imports, took = [timer(IMPORT, 0)], []
    for _ in range(runs):
        took.append(timer(["-m", "equivcheck", "run", "--quiet", f"fixtures/seeds/{case}/small.yaml"], 1))
        imports.append(timer(IMPORT, 0))
    return Row(
        f"{case}: run / import tensorflow, keras",
        statistics.median(took) / statistics.median(imports),
        MOST_IMPORTS,
        TIMES,
        f"{listed(took, 0)} / {listed(imports, 1)}",
    )


def main(arguments: Sequence[str] | None = None, timer: Timer = seconds) -> int:
    """Measures, shows, and says by its exit code whether all bounds were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into reports/benchmarks.md")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    chosen = parser.parse_args(arguments)
    rows: list[Row] = []
    for case in chosen.cases:
        rows.append(measure(case, timer))
        if chosen.write:  # the other cases' rows stay
            write_section(ROOT, TITLE, HOW, merged(ROOT, TITLE, f"{case}:", rows[-1:]))
    sys.stdout.write(f"{environment()}\n{as_text(rows)}\n")
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
