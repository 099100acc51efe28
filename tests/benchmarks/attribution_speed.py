"""What an attribution costs on a large backbone: ``python tests/benchmarks/attribution_speed.py [--write]``.

An InceptionV3 of random weights with dropout behind its pooling, 24 + 12 images of 299 x 299, batch 1, 30 epochs; the
frozen arm also takes its images in another order. The bound is three epochs of the frozen arm's own ``fit``. Run it on
an idle machine. Exits with 1 where the bound is missed; ``--write`` also puts the table into ``reports/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from table import ROOT, TIMES, Row, as_text, environment, write_section

SAMPLES, VALIDATION, SIZE, EPOCHS = 24, 12, 299, 30
#: Epochs of ``fit`` that are timed; the first, which compiles, is not counted.
TIMED = 4
#: The attribution may cost as much as this many epochs of the frozen arm's ``fit``.
MOST_EPOCHS = 3.0
TITLE = "Attribution on a large backbone"
HOW = (
    f"InceptionV3 with dropout behind its pooling, {SAMPLES} + {VALIDATION} images of {SIZE} x {SIZE}, batch 1, "
    f"{EPOCHS} epochs, two causes, five seeds; made by `tests/benchmarks/attribution_speed.py --write`."
)
SPEC = f"""\
version: 1
data:
  train: {{npz: train.npz}}
  validation: {{npz: validation.npz}}
  image_size: [{SIZE}, {SIZE}]
backbone: {{file: backbone.keras, cut: dropout}}
preprocessing: {{rescale: 0.00784313725490196, offset: -1.0}}
head: [dense: {{units: 2, activation: softmax}}]
labels: sparse
training:
  optimizer: {{name: rmsprop, learning_rate: 0.001}}
  loss: sparse_categorical_crossentropy
  epochs: {EPOCHS}
  batch_size: 1
frozen: {{training: {{shuffle: false}}}}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, shows, and says by its exit code whether the bound was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into reports/benchmarks.md")
    chosen = parser.parse_args(arguments)
    rows = measure()
    sys.stdout.write(f"{environment()}\n{as_text(rows)}\n")
    if chosen.write:
        write_section(ROOT, TITLE, HOW, rows)
    return 0 if all(row.kept for row in rows) else 1


def measure() -> list[Row]:
    """One line: the attribution in epochs of the frozen arm's ``fit``."""
    from equivcheck import runtime

    runtime.prepare()
    from equivcheck.pipeline import run

    with tempfile.TemporaryDirectory() as folder:
        spec = _experiment(Path(folder))
        epoch = _epoch_of_fit(spec)
        report = run(spec, cache_dir=Path(folder) / "cache", budget=1e6)
    if report.attribution is None or report.attribution["missing"] or len(report.attribution["shares"]) != 2:
        raise SystemExit(f"no complete attribution: {report.attribution}")
    took = report.seconds["replaying counterfactuals"]
    stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items())
    behind = f"{took:.1f} s / {epoch:.2f} s an epoch; {report.attribution['repetitions']} seeds; {stages}"
    return [Row("attribution / one epoch of the frozen arm's fit", took / epoch, MOST_EPOCHS, TIMES, behind)]


def _epoch_of_fit(spec: Path) -> float:
    import keras

    from equivcheck.arms.build import Builder
    from equivcheck.spec import load, resolve

    arm = Builder(resolve(load(spec))).build("frozen")
    ends: list[float] = []
    noted = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    arguments = {**arm.fit, "epochs": TIMED, "verbose": 0, "callbacks": [noted]}
    validation = None if arm.validation is None else arm.validation.feed.as_tuple()
    arm.model.fit(arm.train.feed.x, arm.train.feed.y, validation_data=validation, **arguments)
    return statistics.median(later - earlier for earlier, later in pairwise(ends))


def _experiment(folder: Path) -> Path:
    import keras
    import numpy as np

    random = np.random.default_rng(0)
    for name, count in (("train", SAMPLES), ("validation", VALIDATION)):
        labels = np.arange(count) % 2
        images = random.integers(0, 200, (count, SIZE, SIZE, 3), np.uint8)
        images[labels == 1, :, : SIZE // 2] += 50
        np.savez(folder / f"{name}.npz", x=images, y=labels)
    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(SIZE, SIZE, 3), pooling="avg"
    )
    outputs = keras.layers.Dropout(0.2, name="dropout")(network.output)
    keras.Model(network.input, outputs, name="inception_v3").save(folder / "backbone.keras")
    spec = folder / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    return spec


if __name__ == "__main__":
    sys.exit(main())
