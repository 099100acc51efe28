"""Curves that part because the processor rounds a sample's features by its place in the batch are no difference.

Whether a processor does so is its own affair, so a layer of the backbone does it here: in the last row of each batch.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from equivcheck.measured import curves_equal
from equivcheck.spec import Document, load, resolve

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]

FIXTURES = Path(__file__).parents[2] / "fixtures"
NETWORK = """\
import keras


class Placed(keras.layers.Layer):
    def call(self, inputs):
        rows = keras.ops.arange(keras.ops.shape(inputs)[0])
        last = keras.ops.cast(rows == keras.ops.shape(inputs)[0] - 1, "float32")
        return inputs * (1 + {size} * last[:, None])


def network():
    base = keras.models.load_model({file!r})
    return keras.Model(base.input, Placed(name="placed")(base.get_layer("avg_pool").output))
"""


def spec(folder: Path, size: float) -> Document:
    """The clean fixture with a backbone that moves what comes last in a batch."""
    file = str(FIXTURES / "backbones" / "inception_small.keras")
    (folder / "networks.py").write_text(NETWORK.format(size=size, file=file), encoding="utf-8")
    text = (FIXTURES / "clean" / "spec.yaml").read_text(encoding="utf-8")
    text = text.replace("../digits", str(FIXTURES / "digits"))
    text = text.replace("file: ../backbones/inception_small.keras", "callable: networks:network")
    path = folder / "spec.yaml"
    path.write_text(text.replace("  cut: avg_pool\n", ""), encoding="utf-8")
    return load(path)


def trained(document):
    """Both arms as they were built, and their curves."""
    from equivcheck.arms.build import Builder
    from equivcheck.replay.training import train
    from equivcheck.trace.state import undisturbed

    arms, curves = [*map(Builder(resolve(document)).build, ("bottleneck", "frozen"))], []
    for arm in arms:
        with undisturbed(arm.model):
            curves += train(arm, lambda *_: None).curves
    return arms, curves


@pytest.mark.parametrize(("size", "rounding"), [(2e-7, True), (1e-3, False)])
def test_only_rounding_is_told_from_a_difference(tmp_path, size, rounding):
    from equivcheck.replay.placement import rounded_by_place
    from equivcheck.replay.rehearse import Rehearsals

    arms, curves = trained(spec(tmp_path, size))
    assert not curves_equal(curves, "bottleneck", "frozen")
    moved = rounded_by_place(*arms, curves, Rehearsals())
    assert (0 < moved < 1e-6) if rounding else moved is None


def test_another_difference_is_not_taken_for_rounding(tmp_path):
    from equivcheck.replay.placement import rounded_by_place
    from equivcheck.replay.rehearse import Rehearsals

    arms, curves = trained(spec(tmp_path, 2e-7).patched({"frozen.training.seed": 1}))
    assert rounded_by_place(*arms, curves, Rehearsals()) is None


def test_features_of_other_samples_prove_nothing(tmp_path):
    from equivcheck.replay.placement import rounded_by_place
    from equivcheck.replay.rehearse import Rehearsals

    (head, network), curves = trained(spec(tmp_path, 2e-7))
    feed = replace(head.train.feed, x=head.train.feed.x[:-1], y=head.train.feed.y[:-1])
    fewer = replace(head, train=replace(head.train, feed=feed))
    assert rounded_by_place(fewer, network, curves, Rehearsals()) is None


def test_a_run_clears_it(tmp_path):
    from equivcheck.pipeline import run_document

    report = run_document(spec(tmp_path, 2e-7))
    assert report.verdict == "equivalent", report.summary
    assert not curves_equal(report.curves, "bottleneck", "frozen")
    (cleared,) = (each for each in report.cleared if each.code == "EQ701")
    assert 0 < cleared.measured["largest_relative_difference"] < 1e-6
