"""EQ204: the stored features were computed from augmented images, one draw for ever."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding


class AugmentationBakedIntoFeatures(Check):
    """Judges whether the images behind the stored features are the samples or one random view of each."""

    code = "EQ204"
    name = "augmentation-baked-into-features"
    title = "The stored features come from one random draw of augmentation"
    what = "Finds stored features that were extracted from images which had been augmented at random."
    why = (
        "Augmentation helps because every epoch shows another view. Stored features hold one view of each image for "
        "ever: the head learns that one, tilted and mirrored as it happens to be, and its curve differs from the one "
        "of an arm that sees the images themselves, or new views in every epoch."
    )
    shows = """\
images = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
flip = keras.layers.RandomFlip()
features = keras.layers.Flatten()(flip(images, training=True))  # stored, and trained on in every epoch
"""
    clean = """\
images = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
features = keras.layers.Flatten()(images)
"""
    measured = (
        "The images behind the features are compared with what the arm's own preprocessing makes of the raw samples. "
        "Where raw samples are not known they are compared with the frozen arm's, sample by sample: every picture is "
        "moved, mirrored or brightened in its own way; and, where that looks so, the user's function is called again "
        "from another seed to see whether it gives other images. It is also called again where the stored features are "
        "not what the backbone gives for the images: to see whether it stores other features then."
    )
    mistaken_for = (
        "Another resize or crop, which changes all pictures alike (EQ206). Augmentation of the frozen arm only "
        "(EQ205). Features of one augmented pass that always draws from a seed of its own, beside images that are not "
        "augmented: only that they belong to no image can be told then (EQ111)."
    )
    advice = (
        "Extract features from images that are not augmented (a generator with rescaling only, no Random layers in "
        "front of predict), or train end to end; to keep augmentation with stored features, store several draws."
    )
    references = (
        "https://keras.io/guides/transfer_learning/",
        "https://blog.keras.io/building-powerful-image-classification-models-using-very-little-data.html",
    )
    requires = ("EQ208",)
    fault = Fault({"bottleneck.augmentation": [{"random_flip": {"mode": "horizontal"}}]})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding where the features' images are random views."""
        images, gap, drawn = evidence.bottleneck.images, evidence.image_gap, _drawn(evidence)
        again = images.again is not None and images.again.kind == "views"
        views = gap is not None and gap.kind == "views"
        if images.redrawn is not None:
            baked = images.redrawn > 0
        else:
            # Against an arm that augments in every epoch one cannot tell whose view is the random one; and a data set
            # that is seeded may give one view for ever as well.
            other = evidence.frozen.images
            theirs = other.again is not None and other.again.kind == "views"
            baked = again or (views and not other.changing and not theirs)
        if not baked and not drawn:
            return
        yield self.finding(
            "bottleneck",
            "The stored features were computed from augmented images: one random view of each sample, the same in "
            "every epoch, while the frozen arm's head sees "
            + ("new views in every epoch." if _live(evidence) else "the samples themselves."),
            measured={
                "changed_fraction_of_images": images.redrawn,
                "moved_pixels_of_32": round(gap.moved, 3) if gap is not None and views else None,
                "other_images_when_extracted_again": again,
                "other_features_when_extracted_again": drawn,
                "frozen_arm_augments_in_every_epoch": _live(evidence),
            },
            expected="features of the samples themselves",
            patch={"bottleneck.augmentation": "none", "frozen.augmentation": "none"},
            key="augmentation",
        )


def _drawn(evidence: Evidence) -> bool:
    """Whether the features are those of images drawn at random, whatever images are given beside them.

    A backbone that is random itself gives others each time too, when it is run in training mode.
    """
    stored = evidence.bottleneck.stored
    random = any(layer.stochastic for layer in evidence.bottleneck.layers if layer.region == "backbone")
    return stored is not None and bool(stored.drawn) and not random


def _live(evidence: Evidence) -> bool:
    return evidence.frozen.images.changing > 0 or any(
        layer.region == "augmentation" and layer.stochastic and layer.flag.fit for layer in evidence.frozen.layers
    )
