"""What a compiled training costs, against ``fit``: ``python tests/benchmarks/replay_speed.py [--write]``.

A head on stored features, 24 samples, batch 1, 30 epochs, 330 validation samples. ``fit``, the first compiled training
(tracing counted), and further ones that use its graph again take turns in one process each, so that a slower minute
slows all. Weights must be equal to the last bit, and curves within 1e-6. Run it on an idle machine. Exits with 1 where
a bound is missed; ``--write`` also puts the table into ``reports/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from table import ROOT, Row, as_text, environment, write_section

RUNS = 3
FURTHER = 3
SIDE_BY_SIDE = 8
SAMPLES, VALIDATION, FEATURES, CLASSES, EPOCHS = 24, 330, 64, 5, 30
TITLE = "Compiled trainings"
HOW = (
    f"A dense layer on {FEATURES} stored features, {SAMPLES} samples, batch 1, {EPOCHS} epochs, {VALIDATION} samples "
    f"of validation; median of {RUNS} processes, in each of which `fit`, the first compiled training and further ones "
    "ran. Joined: small batches of validation are evaluated together. Side by side: further ones as replays run them, "
    f"{SIDE_BY_SIDE} begun at once, one on each core; seconds of all over their number. Made by "
    "`tests/benchmarks/replay_speed.py --write`."
)

#: What is compared with ``fit`` -> most that it may take, as a share of ``fit``: a 25th at first, then a 100th.
BOUNDS = {"joined, first": 1 / 25, "joined, further": 1 / 100, "joined, further, side by side": 1 / 100}
#: Without joining, validation takes as many steps as in ``fit``; there is no bound in the plan, so only a loose one.
LOOSE = {"step by step, first": 1 / 5, "step by step, further": 1 / 10}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the processes and judges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into reports/benchmarks.md")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        sys.stdout.write(json.dumps(measure()) + "\n")
        return 0
    runs = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, __file__, "--one"],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    rows = judge(runs)
    sys.stdout.write(f"{environment()}\n{as_text(rows)}\n")
    if chosen.write:
        write_section(ROOT, TITLE, HOW, rows)
    return 0 if all(row.kept for row in rows) else 1


def judge(runs: Sequence[dict[str, float]]) -> list[Row]:
    """One line a comparison, from the seconds of every process."""
    by_fit = ", ".join(f"{run['fit']:.1f}" for run in runs)
    rows = []
    for what, bound in {**BOUNDS, **LOOSE}.items():
        each = ", ".join(f"{run['fit'] / run[what]:.0f} times as fast ({run[what]:.2f} s)" for run in runs)
        share = statistics.median(run[what] / run["fit"] for run in runs)
        about = f"{what}: share of fit (1/{1 / bound:g})"
        rows.append(Row(about, 100 * share, 100 * bound, "%", f"{each}; fit {by_fit} s"))
    return rows


def measure() -> dict[str, float]:
    """Seconds of each way, in this process."""
    from equivcheck import runtime

    runtime.prepare()
    import numpy as np

    from equivcheck.replay.rehearse import Rehearsals
    from equivcheck.replay.training import train, train_by_fit

    _run(train_by_fit, epochs=1)  # what TensorFlow does once in a process belongs to neither side
    took = {}
    took["fit"], expected = _run(train_by_fit)
    for name, joined in (("joined", True), ("step by step", False)):
        shared = Rehearsals(joined=joined)
        further = []
        for number in range(1 + FURTHER):
            seconds, given = _run(train, rehearsals=shared)
            if number == 0:
                took[f"{name}, first"] = seconds
            else:
                further.append(seconds)
            if not all(map(np.array_equal, given.weights, expected.weights)):
                raise SystemExit(f"{name}: other weights than fit")
            for one, other in zip(given.curves, expected.curves, strict=True):
                np.testing.assert_allclose(one.values, other.values, rtol=1e-6)
        took[f"{name}, further"] = statistics.median(further)
        if joined:
            took[f"{name}, further, side by side"] = _side_by_side(shared, expected)
    return took


def _side_by_side(rehearsals: Any, expected: Any) -> float:
    """Seconds of one of several that were begun at once."""
    import numpy as np

    from equivcheck.replay.eligible import build
    from equivcheck.replay.training import begin

    arms = [_arm(EPOCHS) for _ in range(SIDE_BY_SIDE)]
    for arm in arms:
        build(arm)
    start = time.perf_counter()
    begun = [begin(arm, lambda *_: None, evidence=None, rehearsals=rehearsals, folder=None) for arm in arms]
    given = [wait() for wait in begun]
    took = time.perf_counter() - start
    for curves in given:
        for one, other in zip(curves, expected.curves, strict=True):
            np.testing.assert_allclose(one.values, other.values, rtol=1e-6)
    return took / SIDE_BY_SIDE


def _run(function: Any, *, epochs: int = EPOCHS, **arguments: Any) -> tuple[float, Any]:
    from equivcheck.replay.eligible import build

    arm = _arm(epochs)
    build(arm)  # as every arm is that was measured before it is trained
    start = time.perf_counter()
    training = function(arm, lambda *_: None, **arguments)
    return time.perf_counter() - start, training


def _arm(epochs: int) -> Any:
    import keras
    import numpy as np

    from equivcheck.arms.arm import Arm, Feed, Split
    from equivcheck.arms.seeding import set_seeds

    random = np.random.default_rng(0)

    def split(rows: int) -> Split:
        x = random.normal(size=(rows, FEATURES)).astype(np.float32)
        return Split(Feed(x, random.integers(0, CLASSES, rows)))

    set_seeds(0)  # as arms of a spec are made: it leaves ready what is ready to run
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(CLASSES, activation="softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Arm("bottleneck", model, split(SAMPLES), split(VALIDATION), {"epochs": epochs, "batch_size": 1}, 0)


if __name__ == "__main__":
    sys.exit(main())
