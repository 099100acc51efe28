"""EQ201: the same sample reaches the first convolution as two different tensors."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.affine import AffineMap, looks_like
from equivcheck.diff.preparation import in_order, reorders, same_but_order, unchanged
from equivcheck.evidence import ArmEvidence, Evidence
from equivcheck.findings import Cleared, Finding, SameAs


class PreprocessingDiffers(Check):
    """Judges the tensors that reach the first layer with a kernel."""

    code = "EQ201"
    name = "preprocessing-differs"
    title = "The arms feed the backbone differently preprocessed images"
    what = "Compares, sample by sample, the tensors that reach the first convolution in the two arms."
    why = (
        "A backbone computes other features from other inputs. The head of each arm then learns from different "
        "features, and the arm whose images look unlike those of pretraining gets the poorer ones."
    )
    shows = """\
images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
bottleneck_input = images / 255
frozen_input = keras.applications.inception_v3.preprocess_input(images.copy())
"""
    clean = """\
images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
bottleneck_input = frozen_input = keras.applications.inception_v3.preprocess_input(images.copy())
"""
    measured = (
        "The input of the first layer with a kernel is recorded in both arms for the same samples; y = a x + b is "
        "fitted per channel, over all orders of the channels, and compared with the known modes (raw, 1/255, [-1, 1], "
        "caffe, torch)."
    )
    mistaken_for = (
        "A Rescaling layer inside one backbone and the same factor outside the other: what reaches the kernel is "
        "equal. Images rescaled twice (EQ203), exchanged channels (EQ207), another resize (EQ206) and augmentation "
        "(EQ204, EQ205) have codes of their own; what is left when those are taken away is judged here."
    )
    advice = "Preprocess in one function that both arms call; use the backbone's own preprocess_input."
    references = (
        "https://keras.io/api/applications/",
        "keras/src/applications/imagenet_utils.py, preprocess_input",
        "https://github.com/keras-team/keras/issues/10279",
    )
    requires = ("EQ203", "EQ208")
    fault = Fault({"frozen.preprocessing": "none"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding where the preprocessings differ in more than what another code names."""
        between = _difference(evidence)
        if between is None:
            return
        ours, theirs = _name(evidence.bottleneck), _name(evidence.frozen)
        wrong = "bottleneck" if _as_trained(evidence.frozen) and not _as_trained(evidence.bottleneck) else "frozen"
        right = "frozen" if wrong == "bottleneck" else "bottleneck"
        yield self.finding(
            "both",
            f"The same images reach the first convolution as {ours} in the bottleneck arm and as {theirs} in the "
            f"frozen arm (from one to the other: {between.name}), so the backbone computes other features.",
            measured={
                "bottleneck_to_frozen": between.name,
                "bottleneck_input": ours,
                "frozen_input": theirs,
                "scale_per_channel": list(between.scale),
                "offset_per_channel": list(between.offset),
                "channel_order": list(between.order),
                "largest_residual_fraction_of_range": between.residual,
            }
            | _trained_with(evidence),
            expected="the same tensor for the same sample",
            patch={f"{wrong}.preprocessing": SameAs("frozen" if right == "frozen" else "bottleneck")},
            key="preprocessing",
            layer=evidence.frozen.input.layer if evidence.frozen.input else None,
        )


def _difference(evidence: Evidence) -> AffineMap | None:
    """The map between the two preprocessings where it is not the identity and no other code names it."""
    gap, between, ours = evidence.image_gap, evidence.preparation, evidence.bottleneck.input
    if gap is None or ours is None:
        return None
    if between is None:
        # No map at all: views are augmentation, and other sizes cannot be compared; the rest is unexplained.
        unexplained = gap.kind == "other" and not evidence.frozen.images.changing
        return evidence.input_map if unexplained else None
    roughly = gap.kind in {"resized", "swapped"} and not _raw_known(evidence)
    if _only_reordered(evidence):
        return None
    if reorders(between, ours.tensor, roughly=roughly):
        between = in_order(between)
    return None if unchanged(between, ours.tensor, roughly=roughly) else between


def _raw_known(evidence: Evidence) -> bool:
    return all(arm.input is not None and arm.input.against_raw is not None for _, arm in evidence.arms())


def _only_reordered(evidence: Evidence) -> bool:
    maps = [arm.input.against_raw if arm.input else None for _, arm in evidence.arms()]
    return maps[0] is not None and maps[1] is not None and same_but_order(maps[0], maps[1])


def _trained_with(evidence: Evidence) -> dict[str, str]:
    known = [arm.input.as_trained for _, arm in evidence.arms() if arm.input and arm.input.as_trained]
    return {"trained_with": known[0].name} if known else {}


def _name(arm: ArmEvidence) -> str:
    if arm.input is None:
        return "unknown"
    return arm.input.against_raw.name if arm.input.against_raw else looks_like(arm.input.tensor)


def _as_trained(arm: ArmEvidence) -> bool:
    found = arm.input
    return bool(found and found.fed and found.as_trained and found.fed.same_as(found.as_trained))
