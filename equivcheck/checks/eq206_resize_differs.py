"""EQ206: the arms bring their images to size in different ways, or to different sizes."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs


class ResizeDiffers(Check):
    """Judges pictures that agree in the large and differ in their detail, or in size."""

    code = "EQ206"
    name = "resize-differs"
    title = "The arms resize the same images differently"
    what = (
        "Compares the pictures of the same samples: of one size but with other detail (nearest pixel against bilinear, "
        "with or without antialiasing, cropped or not), or of another size."
    )
    why = (
        "Readers resize differently: ImageDataGenerator takes the nearest pixel, image_dataset_from_directory "
        "interpolates without antialiasing, Pillow with it. Fine patterns alias, edges get sharper or softer, and the "
        "backbone computes other features from what looks like the same image: up to 22 of 255 grey levels on average."
    )
    shows = """\
photo = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype("float32")
bottleneck_input = tf.image.resize(photo, (16, 16), "nearest")
frozen_input = tf.image.resize(photo, (16, 16), "bilinear")
"""
    clean = """\
photo = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype("float32")
bottleneck_input = frozen_input = tf.image.resize(photo, (16, 16), "bilinear")
"""
    measured = (
        "The images of both arms are compared sample by sample, before preprocessing where raw pixels are known, else "
        "at the first kernel. It is a resize when no affine map of the values explains the difference, the pictures "
        "agree once detail is averaged away, and none is moved in a way of its own."
    )
    mistaken_for = (
        "Augmentation, which changes each picture in its own way (EQ204, EQ205). Height and width exchanged (EQ209). "
        "Images of one size that no reader has to resize."
    )
    advice = (
        "Read both arms' images with one reader at one size. Where that cannot be, give both the same interpolation: "
        '`flow_from_directory(interpolation="bilinear")`, `image_dataset_from_directory(interpolation="bilinear")`; '
        "they still differ in antialiasing when images shrink."
    )
    references = (
        "https://keras.io/api/data_loading/image/",
        "https://github.com/keras-team/keras/issues/8533",
        "https://arxiv.org/abs/2104.11222",
    )
    requires = ("EQ204", "EQ208")
    fault = Fault({"frozen.data.resize": {"interpolation": "nearest"}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding where the pictures agree but for their detail."""
        gap = evidence.image_gap
        if gap is None or gap.kind != "resized" or evidence.frozen.images.changing:
            return
        sizes = gap.first != gap.second
        percent = 100 * (gap.largest_residual or 0.0)
        yield self.finding(
            "both",
            f"The bottleneck arm reads images of {_size(gap.first)} pixels, the frozen arm the same images at "
            f"{_size(gap.second)}: the backbone computes other features from them."
            if sizes
            else "The arms resize the same images differently: the pictures agree in the large, but single pixels "
            f"differ by up to {percent:.0f} % of the range.",
            measured={
                "bottleneck_height_and_width": list(gap.first),
                "frozen_height_and_width": list(gap.second),
                "largest_difference_fraction_of_range": gap.largest_residual,
                "moved_pixels_of_32": round(gap.moved, 3),
            },
            expected="the same pixels for the same sample",
            patch={
                "frozen.data.resize": SameAs("bottleneck"),
                "frozen.data.image_size": SameAs("bottleneck"),
            },
            key="data.image_size" if sizes else "data.resize",
        )


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
