"""EQ207: red and blue are exchanged."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.preparation import reorders, same_but_order
from equivcheck.evidence import Evidence, InputTrace
from equivcheck.findings import ArmName, AsTrained, Cleared, Finding, SameAs


class ChannelOrderDiffers(Check):
    """Judges which raw channel reaches each input channel of the first kernel."""

    code = "EQ207"
    name = "channel-order-differs"
    title = "The colour channels reach the backbone in another order"
    what = "Finds images whose channels are exchanged, RGB against BGR, with nothing else done to them."
    why = (
        "cv2.imread gives BGR, Keras and Pillow give RGB. The backbone's colour filters then see blue where they "
        "learnt red: on colour photographs features change and accuracy drops by some points, in one arm or in both."
    )
    shows = """\
images = np.random.default_rng(0).random((2, 8, 8, 3), "float32")
bottleneck_input = images
frozen_input = images[..., ::-1]  # as cv2.imread reads them
"""
    clean = """\
images = np.random.default_rng(0).random((2, 8, 8, 3), "float32")
bottleneck_input = frozen_input = images
"""
    measured = (
        "A map y = a x + b per channel is fitted over all orders of the channels, between the arms and from raw pixels "
        "to the first kernel. It is reported where another order fits and the same was done to every channel."
    )
    mistaken_for = (
        "Grey images, whose channels are equal in any order. caffe's preprocessing, which is BGR by itself; against "
        "another mode that is EQ201."
    )
    advice = "Read images as RGB: `cv2.cvtColor(image, cv2.COLOR_BGR2RGB)`, or keras.utils.load_img."
    references = (
        "https://keras.io/api/applications/vgg/#preprocess_input-function",
        "https://docs.opencv.org/4.x/d4/da8/group__imgcodecs.html",
        "https://github.com/keras-team/keras/issues/10279",
    )
    requires = ("EQ208",)
    fault = Fault(
        {"frozen.preprocessing.channel_order": "bgr"},
        start={
            "data.train": {"callable": "pictures:coloured_train"},
            "data.validation": {"callable": "pictures:coloured_validation"},
        },
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """An error where the arms differ, a warning where both are unlike pretraining."""
        ours, theirs = (arm.input for _, arm in evidence.arms())
        unlike: list[ArmName] = [name for name, arm in evidence.arms() if _unlike_pretraining(arm.input)]
        orders = {
            f"{name}_channels": list(arm.input.against_raw.order)
            for name, arm in evidence.arms()
            if arm.input is not None and arm.input.against_raw is not None
        }
        if _arms_differ(evidence, ours, theirs):
            wrong: ArmName = "bottleneck" if unlike == ["bottleneck"] else "frozen"
            right: ArmName = "frozen" if wrong == "bottleneck" else "bottleneck"
            assert evidence.preparation is not None
            yield self.finding(
                unlike[0] if len(unlike) == 1 else "both",
                "The channels of the frozen arm's images are the bottleneck arm's in the order "
                f"{list(evidence.preparation.order)}: the backbone's colour filters see other colours.",
                measured={"bottleneck_to_frozen_channels": list(evidence.preparation.order), **orders},
                expected="the same channel at the same place",
                patch={
                    f"{wrong}.preprocessing": SameAs("frozen" if right == "frozen" else "bottleneck"),
                },
                key="preprocessing.channel_order",
            )
        elif len(unlike) == len(evidence.arms()):
            yield self.finding(
                "both",
                "Both arms feed the channels in another order than the backbone was pretrained on.",
                measured=orders,
                expected="the order that the weights were trained with",
                severity="warning",
                patch={f"{name}.preprocessing": AsTrained() for name in unlike},
                key="preprocessing.channel_order",
            )


def _arms_differ(evidence: Evidence, ours: InputTrace | None, theirs: InputTrace | None) -> bool:
    between, gap = evidence.preparation, evidence.image_gap
    if between is None or gap is None or ours is None or theirs is None:
        return False
    if ours.against_raw is not None and theirs.against_raw is not None:
        return same_but_order(ours.against_raw, theirs.against_raw) or reorders(between, ours.tensor)
    return reorders(between, ours.tensor, roughly=gap.kind in {"resized", "swapped"})


def _unlike_pretraining(found: InputTrace | None) -> bool:
    if found is None or found.against_raw is None or found.as_trained is None:
        return False
    return same_but_order(found.against_raw, found.as_trained)
