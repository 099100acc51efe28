"""EQ111: stored features are not what the backbone gives now."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.diff.nearest import HALF, same_features
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding


class FeatureCacheStale(Check):
    """Judges whether stored features are still the backbone's."""

    code = "EQ111"
    name = "feature-cache-stale"
    title = "The stored features are not what the backbone gives for the images now"
    what = (
        "Finds stored features that belong to no image: another backbone, other weights, another cut, other "
        "preprocessing or another mode made them."
    )
    why = (
        "A head that is trained on features of another network, or of images that were prepared in another way, is "
        "trained on something else than the frozen arm's, and fits no network that is put in front of it later."
    )
    shows = """\
images = np.random.rand(4, 4).astype("float32")
np.save("features.npy", end_to_end.predict(images * 255, verbose=0))
features = np.load("features.npy")
now = end_to_end.predict(images, verbose=0)
"""
    clean = """\
images = np.random.rand(4, 4).astype("float32")
np.save("features.npy", end_to_end.predict(images, verbose=0))
features = np.load("features.npy")
now = end_to_end.predict(images, verbose=0)
"""
    measured = (
        "The arm's backbone runs on the images of a few rows, spread over the split, and what it gives is compared "
        "with every stored row."
    )
    mistaken_for = (
        "Features in half precision or extracted in batches of another size, which differ by rounding and are cleared. "
        "Rows in another order (EQ105)."
    )
    advice = (
        "Delete the stored features and extract them again with this backbone and this preprocessing, by predict. Keep "
        "a hash of the weights and the preprocessing in the name of the file."
    )
    references = (
        "https://github.com/keras-team/keras/issues/20147",
        "https://keras.io/guides/transfer_learning/",
    )
    requires = ("EQ105", "EQ204", "EQ405", "EQ507")
    fault = Fault({"bottleneck.features": {"train": "../features/unscaled.npz"}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding; rounding is cleared."""
        arm = evidence.bottleneck
        for split, stored in (("training", arm.stored), ("validation", arm.stored_validation)):
            if stored is None:
                continue
            nobodys = ~same_features(stored.nearest_distance)
            if nobodys.any():
                yield self.finding(
                    "bottleneck",
                    f"Of {len(stored.rows)} {split} images that were run through the backbone again, {nobodys.sum()} "
                    f"give features that are stored nowhere: the nearest of {stored.stored} rows is "
                    f"{float(np.median(stored.nearest_distance[nobodys])):.3g} of the largest feature away.",
                    measured={
                        "images_run_again": len(stored.rows),
                        "features_stored_nowhere": int(nobodys.sum()),
                        "median_distance_to_nearest_row_relative": float(np.median(stored.nearest_distance[nobodys])),
                        "median_distance_to_own_row_relative": float(np.median(stored.own[nobodys])),
                        "tolerance_relative": HALF,
                    },
                    expected="the backbone gives the stored features again, up to rounding",
                    patch={"bottleneck.features": None},
                    key="features",
                )
                return
            if stored.own.max() > NOISE and same_features(stored.own).all():
                yield self.cleared(
                    f"Stored {split} features differ from what the backbone gives now by rounding only, as half "
                    "precision does.",
                    largest_distance_relative=float(stored.own.max()),
                )
