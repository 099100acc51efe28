"""EQ209: height and width are exchanged."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs


class HeightAndWidthSwapped(Check):
    """Judges the shapes of the same pictures in both arms."""

    code = "EQ209"
    name = "height-and-width-swapped"
    title = "The arms exchange height and width of the images"
    what = (
        "Finds images that are read at (width, height) in one arm and at (height, width) in the other, so that each "
        "picture is squeezed, and images whose rows and columns are exchanged."
    )
    why = (
        "Pillow and OpenCV give sizes as (width, height), Keras as (height, width). The picture is squeezed one way in "
        "one arm and the other way in the other, or lies on its side: the backbone computes other features from it, "
        "and behind global pooling no shape betrays it."
    )
    shows = """\
photo = np.random.default_rng(0).random((1, 60, 80, 3), "float32")
bottleneck_input = tf.image.resize(photo, (24, 32))
frozen_input = tf.image.resize(photo, (32, 24))
"""
    clean = """\
photo = np.random.default_rng(0).random((1, 60, 80, 3), "float32")
bottleneck_input = frozen_input = tf.image.resize(photo, (24, 32))
"""
    measured = (
        "The images of the same samples, recognised whatever their size, are compared in both arms: their shapes, and "
        "whether exchanging rows and columns makes one of the other."
    )
    mistaken_for = "Square images, where nothing is squeezed. Images of two sizes that are not each other's (EQ206)."
    advice = "Give sizes as Keras does, `image_size=(height, width)`; Pillow's `image.size` is (width, height)."
    references = (
        "https://keras.io/api/data_loading/image/",
        "https://pillow.readthedocs.io/en/stable/reference/Image.html#PIL.Image.Image.size",
        "https://github.com/keras-team/keras/issues/8533",
    )
    fault = Fault(
        {"frozen.data.image_size": [32, 24]},
        start={
            "data.image_size": [24, 32],
            "backbone": {"callable": "pictures:any_size"},
        },
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding where the sides are exchanged."""
        gap = evidence.image_gap
        if gap is None or gap.kind not in {"swapped", "turned"}:
            return
        first, second = (f"{height} x {width}" for height, width in (gap.first, gap.second))
        yield self.finding(
            "both",
            f"The bottleneck arm reads the images at {first} pixels (height x width), the frozen arm at {second}: the "
            "same pictures are squeezed the other way."
            if gap.kind == "swapped"
            else "Rows and columns of the images are exchanged: every picture of the frozen arm lies on its side.",
            measured={
                "bottleneck_height_and_width": list(gap.first),
                "frozen_height_and_width": list(gap.second),
                "rows_and_columns_exchanged": gap.kind == "turned",
            },
            expected="the same height and the same width for the same sample",
            patch={"frozen.data.image_size": SameAs("bottleneck")},
            key="data.image_size",
        )
