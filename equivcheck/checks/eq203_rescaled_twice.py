"""EQ203: pixels are brought down twice before they reach the first kernel."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.preparation import rescaled_twice
from equivcheck.evidence import Evidence
from equivcheck.findings import ArmName, AsTrained, Cleared, Finding, Patch, SameAs


class RescaledTwice(Check):
    """Judges how much contrast is left at the first layer with a kernel."""

    code = "EQ203"
    name = "rescaled-twice"
    title = "The images are rescaled twice, so that almost no contrast is left"
    what = (
        "Finds an arm whose first convolution receives pixels that were divided down twice: by the user and by a layer "
        "inside the network, or by the user two times."
    )
    why = (
        "EfficientNet, ConvNeXt and MobileNetV3 rescale inside. Fed images in [0, 1] they see a nearly uniform grey: "
        "all features are almost the same, and accuracy falls to chance in the arm that does it."
    )
    shows = """\
images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("float32")
network = keras.applications.MobileNetV3Small(weights=None, input_shape=(64, 64, 3))  # rescales inside
network.predict(images / 255, verbose=0)
"""
    clean = """\
images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3)).astype("float32")
network = keras.applications.MobileNetV3Small(weights=None, input_shape=(64, 64, 3))  # rescales inside
network.predict(images, verbose=0)
"""
    measured = (
        "The input of the first layer with a kernel is compared with raw pixels: the known modes leave the range of "
        "grey levels a contrast of 1 or more, rescaled twice they leave less than 0.04. Where raw pixels are not "
        "known, by a layer that scales down and receives values scaled down before, or by values of at most 1/255."
    )
    mistaken_for = (
        "Images divided by 255 once for a network that wants grey levels (VGG, ResNet): EQ201 or EQ202. A Rescaling "
        "layer that undoes what was done outside of it."
    )
    advice = (
        "Rescale once: leave out your own division where the network rescales inside (EfficientNet, ConvNeXt, "
        "MobileNetV3, or a Rescaling layer of your own), or call the preprocess_input of its module, which knows."
    )
    references = (
        "https://github.com/tensorflow/tensorflow/issues/42506",
        "https://github.com/tensorflow/tensorflow/issues/48412",
        "https://keras.io/api/applications/efficientnet/",
    )
    requires = ("EQ208",)
    fault = Fault({"frozen.preprocessing": {"rescale": 1 / 255**2, "offset": 0.0}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding; a warning where both arms do it."""
        found: dict[ArmName, str] = {}
        for name, arm in evidence.arms():
            why = rescaled_twice(arm.input) if arm.input is not None else None
            if why is not None:
                found[name] = why
        if not found:
            return
        both = len(found) == len(evidence.arms())
        first = next(iter(found))
        inputs = {name: arm.input for name, arm in evidence.arms() if arm.input is not None}
        yield self.finding(
            "both" if both else first,
            f"The {' and the '.join(found)} arm rescales its images twice: {found[first]}. The backbone sees next to "
            "no contrast, so its features hardly tell one image from another.",
            measured={f"{name}_lowest_value": float(inputs[name].tensor.min()) for name in inputs}
            | {f"{name}_highest_value": float(inputs[name].tensor.max()) for name in inputs}
            | {
                f"{name}_trained_with": mode.name
                for name, one in inputs.items()
                if (mode := one.as_trained) is not None
            },
            expected="values as the backbone was trained on, rescaled once",
            severity="warning" if both else "error",
            patch=_patch(tuple(found), known=all(inputs[name].as_trained is not None for name in found)),
            key="preprocessing",
            layer=inputs[first].layer,
        )


def _patch(arms: tuple[ArmName, ...], *, known: bool) -> Patch | None:
    if known:
        return {f"{name}.preprocessing": AsTrained() for name in arms}
    if len(arms) > 1:
        return None
    return {f"{arms[0]}.preprocessing": SameAs("bottleneck" if arms[0] == "frozen" else "frozen")}
