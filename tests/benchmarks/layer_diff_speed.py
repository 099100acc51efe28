"""What ``diff_layers`` costs, against two plain ``predict`` passes: ``python tests/benchmarks/layer_diff_speed.py``.

Each case is one process: it builds two models with random weights, runs ``predict`` with both, and then
``diff_layers``, tracing counted, on the same images. Then both run once more on more batches, and the median of what
one batch takes is what a further batch costs. Peak memory is the process' own. Run it on an idle machine. Exits with 1
where a bound is missed; ``--write`` also puts the table into ``reports/benchmarks.md``, and ``--models`` measures some
of the networks and leaves the others' rows there as they are.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from table import ROOT, TIMES, Row, as_text, environment, merged, write_section

BATCH = 16
FEW = 2
#: Batches of the runs that tell what a further one costs, and of ten times the images.
FURTHER, TENFOLD = 8, 10 * FEW
MODELS = ("InceptionV3", "VGG16", "EfficientNetB0", "MobileNetV2")
CASES = ("equal", "different", "tenfold")
TITLE = "diff_layers"
HOW = (
    f"Two models with random weights at their default size, batches of {BATCH}, one process a case: `predict` with "
    "both, then `diff_layers`, tracing counted; a further batch: median of "
    f"{FURTHER - 1}. Made by `tests/benchmarks/layer_diff_speed.py --write`."
)

#: Case -> most that the whole may cost, and each further batch, against two ``predict``.
TIME = {"equal": (1.3, 1.05), "different": (1.8, 1.3)}
MEMORY = 1.5
#: From this many seconds on one digit behind the point is enough.
TENS = 10.0
#: Ten times the images: most times the seconds, and the memory.
MOST_TENFOLD = (10.5, 1.05)


def main() -> int:
    """Runs every case in a process of its own, and judges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into reports/benchmarks.md")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "CASE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        sys.stdout.write(json.dumps(measure(*arguments.one)) + "\n")
        return 0
    rows: list[Row] = []
    for name in arguments.models:
        took = {case: _measured(name, case) for case in CASES}
        found = [row for case in TIME for row in judge(name, case, took[case])]
        found += judge_tenfold(name, took["equal"], took["tenfold"])
        if arguments.write:  # each network as soon as it is measured; the rows of others stay
            write_section(ROOT, TITLE, HOW, merged(ROOT, TITLE, name, found))
        rows += found
    sys.stdout.write(f"{environment()}\n{as_text(rows)}\n")
    return 0 if all(row.kept for row in rows) else 1


def _measured(name: str, case: str) -> dict[str, float]:
    """What ``measure`` says in a process of its own."""
    command = [sys.executable, __file__, "--one", name, case]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    took: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return took


def judge(name: str, case: str, took: dict[str, float]) -> list[Row]:
    """The table lines of one case.

    Args:
        name: The network.
        case: Whether the two models are equal or every layer differs.
        took: What ``measure`` returned.
    """
    whole, further = TIME[case]
    about = {
        f"{name}, {case}: {FEW * BATCH} images / two predicts": ("", whole, "s"),
        f"{name}, {case}: each further batch": ("_each", further, "s"),
        f"{name}, {case}: peak memory": ("_memory", MEMORY, "GB"),
    }
    return [_row(what, took[f"diff{key}"], took[f"predict{key}"], *rest) for what, (key, *rest) in about.items()]


def judge_tenfold(name: str, once: dict[str, float], tenfold: dict[str, float]) -> list[Row]:
    """The table lines of ten times the images.

    Args:
        name: The network.
        once: What ``measure`` returned for two equal models.
        tenfold: The same with ten times the images.
    """
    images = f"{TENFOLD * BATCH} images / {FEW * BATCH} images"
    seconds, memory = MOST_TENFOLD
    return [
        _row(f"{name}: {images}", tenfold["diff"], once["diff"], seconds, "s"),
        _row(f"{name}: peak memory, {images}", tenfold["diff_memory"], once["diff_memory"], memory, "GB"),
    ]


def _row(what: str, ours: float, baseline: float, bound: float, unit: str) -> Row:
    digits = 1 if min(ours, baseline) >= TENS else 2
    return Row(what, ours / baseline, bound, TIMES, f"{ours:.{digits}f} {unit} / {baseline:.{digits}f} {unit}")


def measure(name: str, case: str) -> dict[str, float]:
    """Seconds and gigabytes of one case, in this process."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np
    import tensorflow as tf

    import equivcheck

    keras.utils.set_random_seed(0)
    _warm_up(keras, np, equivcheck)
    first, second = (getattr(keras.applications, name)(weights=None) for _ in range(2))
    if case != "different":
        second.set_weights(first.get_weights())
    images = np.random.default_rng(0).random((FEW * BATCH, *first.input_shape[1:]), np.float32)
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]

    def predict(count: int) -> float:
        """Batches to predict with both; the median of what one batch takes in both."""
        data = tf.data.Dataset.from_tensor_slices(images).batch(BATCH).repeat().take(count)
        return sum(_predicted(model, data) for model in (first, second))

    def diff(count: int) -> float:
        """The same of ``diff_layers``."""
        asked: list[float] = []
        found = equivcheck.diff_layers(first, second, _handed(batches, count, asked))
        if found.bit_equal != (case != "different"):
            raise SystemExit(f"{name}, {case}: {found}")
        return _between(asked[1:])  # the first is asked for before anything is traced

    took: dict[str, float] = {}
    took["predict"] = _seconds(predict, FEW)
    took["predict_memory"] = _gigabytes()
    took["diff"] = _seconds(diff, TENFOLD if case == "tenfold" else FEW)
    took["diff_memory"] = _gigabytes()
    if case != "tenfold":
        took["predict_each"], took["diff_each"] = predict(FURTHER), diff(FURTHER + 1)
    return took


def _predicted(model: Any, data: Any) -> float:
    import keras

    class Clock(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            ends.append(time.perf_counter())

    ends: list[float] = []
    model.predict(data, verbose=0, callbacks=[Clock()])
    return _between(ends)


def _handed(batches: Sequence[Any], count: int, asked: list[float]) -> Iterator[Any]:
    """Batches over and over, and when each was asked for."""
    for number in range(count):
        asked.append(time.perf_counter())
        yield batches[number % len(batches)]


def _between(moments: list[float]) -> float:
    return statistics.median(late - early for early, late in itertools.pairwise(moments)) if len(moments) > 1 else 0.0


def _warm_up(keras: Any, np: Any, equivcheck: Any) -> None:
    """What TensorFlow does once in a process belongs to neither side."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    images = np.zeros((2, 8, 8, 3), np.float32)
    model.predict(images, verbose=0)
    equivcheck.diff_layers(model, keras.models.clone_model(model), images)


def _seconds(run: Callable[[int], Any], count: int) -> float:
    start = time.perf_counter()
    run(count)
    return time.perf_counter() - start


def _gigabytes() -> float:
    """Most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    sys.exit(main())
