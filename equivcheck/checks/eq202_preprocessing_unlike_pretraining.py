"""EQ202: the backbone is fed other values than it was trained on."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.preparation import rescaled_twice, same_but_order, unchanged
from equivcheck.evidence import Evidence
from equivcheck.findings import AsTrained, Cleared, Finding, Side


class PreprocessingUnlikePretraining(Check):
    """Judges each arm's input against what the backbone's weights were trained with."""

    code = "EQ202"
    name = "preprocessing-unlike-pretraining"
    title = "The backbone is fed other values than it was pretrained on"
    what = "Compares what reaches the first convolution with the preprocessing that the backbone's weights know."
    why = (
        "Features of a backbone that sees unfamiliar values are poor: accuracy is lower in every arm that does it, and "
        "where one arm does and the other does not, the curves part."
    )
    shows = """\
images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
fed_to_vgg16 = images / 255
"""
    clean = """\
images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
fed_to_vgg16 = keras.applications.vgg16.preprocess_input(images)
"""
    measured = (
        "The map from raw pixels to the first kernel's input is fitted on real samples, and again with the backbone's "
        "own preprocessing: that of its module in keras.applications, or the spec's backbone.trained_with. Of arms "
        "from code, raw pixels are worked out from the images that are fed, or validated on, where they lie on a grid "
        "of 256 levels or fill the range of a known mode; the weights' own is that of the module that loaded "
        'weights="imagenet", or the arm\'s preprocess_input.'
    )
    mistaken_for = (
        "A backbone with random weights, which knows no preprocessing; one whose own is not known. Where only one arm "
        "does it, EQ201 speaks; images rescaled twice are EQ203, exchanged channels EQ207."
    )
    advice = "Use the preprocess_input of the backbone's own module in keras.applications, in both arms."
    references = (
        "https://keras.io/api/applications/",
        "https://github.com/keras-team/keras/issues/16982",
    )
    requires = ("EQ203", "EQ208")
    severity = "warning"
    fault = Fault({"preprocessing": {"rescale": 1 / 255}})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """A warning where both arms do it; where only one does, EQ201 is the error and names what was expected."""
        unlike: list[Side] = []
        names: dict[str, str] = {}
        for name, arm in evidence.arms():
            found = arm.input
            if found is None or found.fed is None or found.as_trained is None or not found.fed.explains:
                continue
            if rescaled_twice(found) or same_but_order(found.fed, found.as_trained):
                continue  # EQ203 and EQ207 name these
            if not found.fed.same_as(found.as_trained):
                unlike.append(name)
                names[name] = found.fed.name
                names["expected"] = found.as_trained.name
        if not unlike or (len(unlike) == 1 and _differ(evidence)):
            return
        side: Side = "both" if len(unlike) == len(evidence.arms()) else unlike[0]
        yield self.finding(
            side,
            f"The backbone's weights were trained on {names['expected']}; "
            f"{'both arms feed' if side == 'both' else f'the {side} arm feeds'} {names[unlike[0]]}.",
            measured={f"{name}_input": names[name] for name in unlike} | {"trained_with": names["expected"]},
            expected="the values that the weights were trained with",
            patch={f"{name}.preprocessing": AsTrained() for name in unlike},
            key="preprocessing",
        )


def _differ(evidence: Evidence) -> bool:
    """Whether the arms' preprocessings were seen to differ, so that the arm that is wrong is named there."""
    between, ours = evidence.preparation, evidence.bottleneck.input
    return between is not None and ours is not None and not unchanged(between, ours.tensor)
