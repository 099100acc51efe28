"""EQ205: the frozen arm augments its images in every epoch, the stored features know nothing of it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence, OrderTrace
from equivcheck.findings import Cleared, Finding


class AugmentationInOneArm(Check):
    """Judges whether the images of the frozen arm change from epoch to epoch."""

    code = "EQ205"
    name = "augmentation-in-one-arm"
    title = "Only the frozen arm augments its training images"
    what = (
        "Finds augmentation that is live in the frozen arm: random layers in front of the backbone, or an iterator "
        "that yields other pixels for the same sample in every epoch."
    )
    why = (
        "The frozen arm's head is trained on new views of each image in every epoch, the other one on the same "
        "features for ever. Training accuracy is lower with augmentation, validation accuracy often higher: two honest "
        "curves of two different trainings."
    )
    shows = """\
inputs = keras.Input((8, 8, 3))
augmented = keras.layers.RandomFlip()(inputs)
end_to_end = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(augmented)))
"""
    clean = """\
inputs = keras.Input((8, 8, 3))
end_to_end = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
"""
    measured = (
        "`fit` pulls two epochs from the real iterator; each sample is recognised although it is mirrored, turned or "
        "shifted, and its pixels are compared. Layers in front of the backbone run twice on the same images as fit "
        "runs them."
    )
    mistaken_for = (
        "A random layer that is off in fit. Random layers inside the backbone, which are EQ401 and EQ404. An iterator "
        "that yields other samples in every epoch."
    )
    advice = (
        "Train both arms without augmentation to compare them. To keep it, train end to end only: stored features "
        "cannot be augmented (augmenting before extraction stores one draw, EQ204)."
    )
    references = (
        "https://keras.io/guides/transfer_learning/",
        "https://keras.io/api/layers/preprocessing_layers/image_augmentation/",
    )
    requires = ("EQ204",)
    fault = Fault({"frozen.augmentation": [{"random_flip": {"mode": "horizontal"}}]})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding where the frozen arm augments and the features stand still."""
        layers = [
            layer
            for layer in evidence.frozen.layers
            if layer.region == "augmentation" and layer.stochastic and layer.flag.fit and not layer.composite
        ]
        changing, again = evidence.frozen.images.changing, evidence.frozen.images.again
        # A seeded data set draws the same in every epoch, but not when it is made again from another seed.
        redrawn = again is not None and again.kind == "views"
        if not (layers or changing or redrawn) or _redraws(evidence.bottleneck.train):
            return
        where = ", ".join(layer.path for layer in layers) if layers else "its iterator"
        yield self.finding(
            "frozen",
            f"The frozen arm augments its training images ({where}), so its head sees "
            + (
                "other features of the same sample in every epoch; the bottleneck arm's stored features stay."
                if layers or changing
                else "one random view of each sample, the same in every epoch; the stored features are of other images."
            ),
            measured={
                "random_layers": [layer.path for layer in layers],
                "largest_change_relative_to_image": round(max((layer.noise for layer in layers), default=0.0), 4),
                "samples_with_other_pixels_in_next_epoch_fraction": changing,
                "other_images_when_made_again": redrawn,
            },
            expected="the same images in every epoch, or augmentation in both arms",
            patch={"frozen.augmentation": "none"},
            key="augmentation",
            layer=layers[0].path if layers else None,
        )


def _redraws(order: OrderTrace) -> bool:
    """Whether a feature iterator makes all features anew in every epoch, as an extractor that augments does."""
    if order.available is not None or len(order.samples) < 2:  # noqa: PLR2004
        return False
    return not np.isin(order.samples[1], order.samples[0]).any()
