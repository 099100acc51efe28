"""EQ208: preprocessing changes the array that it is given."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.preparation import unchanged
from equivcheck.evidence import ArmEvidence, Evidence
from equivcheck.findings import ArmName, AsTrained, Cleared, Finding, Side


class PreprocessingMutatesInput(Check):
    """Judges whether preprocessing leaves the raw images as they were."""

    code = "EQ208"
    name = "preprocessing-mutates-input"
    title = "Preprocessing changes the raw images in place"
    what = "Finds preprocessing that writes its result into the array that it was given."
    why = (
        "`preprocess_input` works in place on float arrays. Whoever uses the raw array again, the other arm or the "
        "same function called once more, preprocesses images that have been preprocessed already: the second arm "
        "trains on other pixels, and which one that is depends on the order in which the code runs."
    )
    shows = """\
images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
bottleneck_input = keras.applications.mobilenet_v2.preprocess_input(images)
frozen_input = keras.applications.mobilenet_v2.preprocess_input(images)  # images are in [-1, 1] by now
"""
    clean = """\
images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
bottleneck_input = keras.applications.mobilenet_v2.preprocess_input(images.copy())
frozen_input = keras.applications.mobilenet_v2.preprocess_input(images.copy())
"""
    measured = (
        "The user's preprocessing function is given a copy of some samples, which is compared before and after. Of "
        "arms from code the array of images is compared before and after the other arm is built, and where the arms' "
        "images differ the function is called again: it must give the same pixels. Arrays of the user's modules must "
        "have the same range before and after each function was called, twice."
    )
    mistaken_for = (
        "Integer images, of which preprocess_input makes a copy. Random augmentation, which also gives other pixels "
        "each time (EQ204). A function that changes its argument where nobody uses that again is a warning."
    )
    advice = (
        "Preprocess a copy: `preprocess_input(images.copy())`, and `images = images / 255` instead of `images /= 255`."
    )
    references = (
        "https://github.com/keras-team/keras/blob/master/keras/src/applications/imagenet_utils.py",
        "https://keras.io/api/applications/mobilenet/#preprocess_input-function",
    )
    fault = Fault({"preprocessing": {"callable": "pictures:scale_in_place"}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """An error where the arms came to differ by it, else a warning."""
        broken: list[ArmName] = [name for name, arm in evidence.arms() if _rewritten(arm)]
        careless: list[ArmName] = [name for name, arm in evidence.arms() if arm.images.alters_input]
        between, ours = evidence.preparation, evidence.bottleneck.input
        differ = between is not None and ours is not None and not unchanged(between, ours.tensor)
        twice = sorted(set(_rescaled(evidence.bottleneck)) & set(_rescaled(evidence.frozen)))
        if not broken and not careless:
            return
        arms = broken or careless
        side: Side = "both" if len(arms) == len(evidence.arms()) else arms[0]
        yield self.finding(
            side,
            _said(evidence, twice)
            if broken
            else f"The preprocessing function of the {' and the '.join(arms)} arm changes the array that it is given; "
            "whoever uses that array again gets images that are preprocessed already.",
            measured={
                f"{name}_array_changed_by_building_the_other": arm.images.overwritten for name, arm in evidence.arms()
            }
            | {f"{name}_function_gives_other_pixels_again": _rewrites(arm) for name, arm in evidence.arms()}
            | {f"{name}_function_changes_its_argument": bool(arm.images.alters_input) for name, arm in evidence.arms()}
            | {f"{name}_arrays_changed_by_each_call": list(_rescaled(arm)) for name, arm in evidence.arms()},
            expected="the raw images are the same before and after",
            severity="error" if twice or (broken and differ) else "warning",
            patch=_patch(evidence, careless),
            key="preprocessing",
        )


def _rewritten(arm: ArmEvidence) -> bool:
    return arm.images.overwritten or _rewrites(arm) or bool(_rescaled(arm))


def _rescaled(arm: ArmEvidence) -> tuple[str, ...]:
    """Arrays of the user's modules that building the arm goes on changing."""
    return () if arm.repeat is None else arm.repeat.rescaled


def _said(evidence: Evidence, twice: list[str]) -> str:
    if twice:
        return (
            f"Both arms preprocess {' and '.join(twice)} in place: the arm that is built second works on what the "
            "first one left, which is preprocessed already."
        )
    if names := [*_rescaled(evidence.bottleneck), *_rescaled(evidence.frozen)]:
        return (
            f"{' and '.join(names)} is preprocessed in place, further with each call: whatever else reads it gets "
            "images that are preprocessed already."
        )
    return (
        "The raw images were preprocessed in place and then used again: what one arm did to the array shows in the "
        "other's images."
    )


def _rewrites(arm: ArmEvidence) -> bool:
    """Whether the user's function gives preprocessed images of its own images when it is called again."""
    again = arm.images.again
    return again is not None and again.kind == "affine" and again.smooth is not None and not again.smooth.identity


def _patch(evidence: Evidence, arms: list[ArmName]) -> dict[str, AsTrained] | None:
    known = all(arm.input is not None and arm.input.as_trained is not None for _name, arm in evidence.arms())
    return {f"{name}.preprocessing": AsTrained() for name in arms} if known and arms else None
