"""What a structural run of the four cases costs: ``python tests/benchmarks/full_size_speed.py [--write]``.

Each side is one process: ``equivcheck run --no-train`` of the case's spec with an empty cache, against one that imports
TensorFlow, makes the images, builds two models and runs each over all images once. Run it on an idle machine; all four
take half an hour, ``--cases`` takes them one at a time. Exits with 1 where a bound is missed; ``--write`` also puts the
rows into ``reports/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from table import ROOT, TIMES, Row, as_text, environment, merged, write_section

TITLE = "The four cases at full size"
HOW = (
    "`equivcheck run --no-train` on `fixtures/seeds/*/spec.yaml`, an empty cache, against a process that imports "
    "TensorFlow, builds two models and runs each over all images once. Made by "
    "`tests/benchmarks/full_size_speed.py --write`."
)
#: Most times what cannot be done without.
MOST = 3.0
#: Most memory at a time, in gigabytes: half of a machine with 16.
MOST_MEMORY = 8.0
#: Case -> network, pixels a side, images a batch.
CASES = {
    "inception_v4": ("inception_v4", 299, 1),
    "flowers17": ("VGG16", 224, 32),
    "inception_v3": ("InceptionV3", 150, 16),
    "vgg16_xray": ("VGG16", 150, 20),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs both sides of every case, and judges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into reports/benchmarks.md")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--plain", choices=CASES, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.plain:
        plain(chosen.plain)
        return 0
    rows: list[Row] = []
    for case in chosen.cases:
        least = measured([__file__, "--plain", case], 0)
        spec = f"fixtures/seeds/{case}/spec.yaml"
        found = judge(case, measured(["-m", "equivcheck", "run", "--quiet", "--no-train", spec], 1), least)
        rows += found
        if chosen.write:  # the other cases' rows stay
            write_section(ROOT, TITLE, HOW, merged(ROOT, TITLE, f"{case}:", found))
    sys.stdout.write(f"{environment()}\n{as_text(rows)}\n")
    return 0 if all(row.kept for row in rows) else 1


def judge(case: str, run: tuple[float, float], least: tuple[float, float]) -> list[Row]:
    """The table lines of one case.

    Args:
        case: Its name.
        run: Seconds and gigabytes of the check.
        least: The same of what it is compared with.
    """
    return [
        Row(f"{case}: run / two passes", run[0] / least[0], MOST, TIMES, f"{run[0]:.0f} s / {least[0]:.0f} s"),
        Row(f"{case}: peak memory", run[1], MOST_MEMORY, "GB", f"two passes: {least[1]:.2f} GB"),
    ]


def measured(arguments: Sequence[str], expected: int) -> tuple[float, float]:
    """Wall-clock seconds and most gigabytes of one process that must leave with the expected exit code."""
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, "EQUIVCHECK_CACHE": cache},
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != expected:
            said.seek(0)
            raise SystemExit(f"{' '.join(arguments)} left with {process.returncode}:\n{said.read().decode()}")
    return took, used.ru_maxrss / 1e6


def plain(case: str) -> None:
    """What cannot be done without: TensorFlow, the images, two models, and a pass of each over all images."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import runpy

    import keras
    import numpy as np

    from equivcheck.arms.inception_v4 import inception_v4

    network, side, batch_size = CASES[case]
    made = runpy.run_path(str(ROOT / "fixtures" / "seeds" / case / "images.py"))
    splits = [made[name]()[0] for name in ("train", "validation") if name in made]
    shape = {"include_top": False, "input_shape": (side, side, 3)}
    build = inception_v4 if network == "inception_v4" else getattr(keras.applications, network)
    for model in [build(weights=None, **({} if network == "inception_v4" else shape)) for _ in range(2)]:
        for images in splits:
            model.predict(images.astype(np.float32) / 255, batch_size=batch_size, verbose=0)


if __name__ == "__main__":
    sys.exit(main())
