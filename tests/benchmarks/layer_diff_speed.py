"""What ``diff_layers`` costs, against two plain ``predict`` passes: ``python tests/benchmarks/layer_diff_speed.py``.

Each line of the table is one process: it builds two models with random weights, runs ``predict`` with both, and then
``diff_layers``, tracing counted, on the same images. Peak memory is the process' own. Run it on an idle machine. Exits
with 1 where a bound is missed; ``--write`` also puts the table into ``reports/benchmarks.md``, and ``--models``
measures some of the networks and leaves the others' rows there as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from table import ROOT, TIMES, Row, as_text, environment, merged, write_section

BATCH = 16
FEW = 2
#: Batches of the long runs of ``diff_layers``: ten times the images where that is asked for; and of ``predict``.
MANY = {"equal": 10 * FEW, "different": 4 * FEW}
MANY_PREDICTED = 4 * FEW
MODELS = ("InceptionV3", "VGG16", "EfficientNetB0", "MobileNetV2")
CASES = ("equal", "different")
TITLE = "diff_layers"
HOW = (
    f"Two models with random weights at their default size, batches of {BATCH}, one process a case: `predict` with "
    "both, then `diff_layers`, tracing counted. Made by `tests/benchmarks/layer_diff_speed.py --write`."
)

#: Case -> most that the whole may cost, and each further batch, against two ``predict``.
TIME = {"equal": (1.3, 1.05), "different": (1.8, 1.3)}
MEMORY = 1.5
#: Ten times the images: most times the seconds, and the memory.
TENFOLD = (10.5, 1.05)


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
        found: list[Row] = []
        for case in CASES:
            command = [sys.executable, __file__, "--one", name, case]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            found += judge(name, case, json.loads(done.stdout.splitlines()[-1]))
        if arguments.write:  # each network as soon as it is measured; the rows of others stay
            write_section(ROOT, TITLE, HOW, merged(ROOT, TITLE, name, found))
        rows += found
    sys.stdout.write(f"{environment()}\n{as_text(rows)}\n")
    return 0 if all(row.kept for row in rows) else 1


def judge(name: str, case: str, took: dict[str, float]) -> list[Row]:
    """The table lines of one case.

    Args:
        name: The network.
        case: Whether the two models are equal or every layer differs.
        took: What ``measure`` returned.
    """
    whole, further = TIME[case]
    many = {"diff": MANY[case], "predict": MANY_PREDICTED}
    each = {side: (took[f"{side}_many"] - took[f"{side}_again"]) / (many[side] - FEW) for side in many}
    images, tenfold = FEW * BATCH, MANY["equal"] * BATCH
    rows = [
        Row(
            f"{name}, {case}: {images} images / two predicts",
            took["diff"] / took["predict"],
            whole,
            TIMES,
            f"{took['diff']:.1f} s / {took['predict']:.1f} s",
        ),
        Row(
            f"{name}, {case}: each further batch",
            each["diff"] / each["predict"],
            further,
            TIMES,
            f"{each['diff']:.2f} s / {each['predict']:.2f} s",
        ),
        Row(
            f"{name}, {case}: peak memory",
            took["diff_memory"] / took["predict_memory"],
            MEMORY,
            TIMES,
            f"{took['diff_memory']:.2f} GB / {took['predict_memory']:.2f} GB",
        ),
    ]
    if case == "equal":
        rows += [
            Row(
                f"{name}: {tenfold} images / {images} images",
                took["diff_many"] / took["diff"],
                TENFOLD[0],
                TIMES,
                f"{took['diff_many']:.1f} s / {took['diff']:.1f} s",
            ),
            Row(
                f"{name}: peak memory, {tenfold} images / {images} images",
                took["many_memory"] / took["diff_memory"],
                TENFOLD[1],
                TIMES,
                f"{took['many_memory']:.2f} GB / {took['diff_memory']:.2f} GB",
            ),
        ]
    return rows


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
    if case == "equal":
        second.set_weights(first.get_weights())
    images = np.random.default_rng(0).random((FEW * BATCH, *first.input_shape[1:]), np.float32)
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    took: dict[str, float] = {}

    def predict(count: int) -> None:
        for model in (first, second):
            model.predict(tf.data.Dataset.from_tensor_slices(images).batch(BATCH).repeat(count), verbose=0)

    def diff(count: int) -> None:
        found = equivcheck.diff_layers(first, second, batches * count)
        if found.bit_equal != (case == "equal"):
            raise SystemExit(f"{name}, {case}: {found}")

    took["predict"] = _seconds(predict, 1)
    took["predict_memory"] = _gigabytes()
    took["diff"] = _seconds(diff, 1)
    took["diff_memory"] = _gigabytes()
    for side, run, many in (("predict", predict, MANY_PREDICTED), ("diff", diff, MANY[case])):
        took[f"{side}_again"] = _seconds(run, 1)
        took[f"{side}_many"] = _seconds(run, many // FEW)
    took["many_memory"] = _gigabytes()
    return took


def _warm_up(keras: Any, np: Any, equivcheck: Any) -> None:
    """What TensorFlow does once in a process belongs to neither side."""
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    images = np.zeros((2, 8, 8, 3), np.float32)
    model.predict(images, verbose=0)
    equivcheck.diff_layers(model, keras.models.clone_model(model), images)


def _seconds(run: Callable[[int], None], count: int) -> float:
    start = time.perf_counter()
    run(count)
    return time.perf_counter() - start


def _gigabytes() -> float:
    """Most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    sys.exit(main())
