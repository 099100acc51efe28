"""EQ110: the two arms validate on different samples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs

#: Images that were read in other ways may not be recognised, one here and there; 3.3 % of CIFAR-10's test images have
#: a near-duplicate that they may be taken for (Barz and Denzler 2020).
DIFFERING = 0.05


class ValidationSetDiffers(Check):
    """Judges whether both arms' first evaluations are on the same samples."""

    code = "EQ110"
    name = "validation-set-differs"
    title = "The arms validate on different samples"
    what = "Compares the samples of both arms' evaluations: how many they are, and which."
    why = (
        "Validation curves over different samples differ even for equal weights: by the difficulty of the samples, "
        "by the balance of the classes, and by the denominator of the accuracy."
    )
    shows = """\
x, y = np.zeros((10, 4), "float32"), np.zeros((10, 1), "int64")
head.fit(x, y, validation_data=(x, y), batch_size=4, verbose=0)
end_to_end.fit(x, y, validation_data=(x, y), batch_size=4, validation_steps=len(x) // 4, verbose=0)
"""
    clean = """\
x, y = np.zeros((10, 4), "float32"), np.zeros((10, 1), "int64")
for model in (head, end_to_end):
    model.fit(x, y, validation_data=(x, y), batch_size=4, verbose=0)
"""
    measured = (
        "`fit` runs the evaluation behind its first epoch with the real iterators, into a model that only takes notes. "
        "Samples are identified by id or by what the images show."
    )
    mistaken_for = "The same samples in another order or in other batches, which Keras weights correctly."
    advice = "Pass the same validation set to both arms, whole: leave validation_steps out."
    references = (
        "https://keras.io/api/models/model_training_apis/#fit-method",
        "https://github.com/keras-team/keras/issues/6499",
    )
    requires = ("EQ108", "EQ109")
    fault = Fault({"frozen.training.validation_steps": 5})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding, or the same samples in another order cleared."""
        if evidence.bottleneck.validation is None or evidence.frozen.validation is None:
            return
        ours, theirs = evidence.bottleneck.validation.samples[0], evidence.frozen.validation.samples[0]
        shared = int(np.isin(theirs, ours).sum())
        told = evidence.validation_matched
        if len(ours) == len(theirs) and (not told or shared >= (1 - DIFFERING) * len(theirs)):
            if told and shared == len(theirs) and not np.array_equal(ours, theirs):
                yield self.cleared(
                    "Both arms validate on the same samples, in another order, which loss and accuracy do not depend "
                    "on.",
                    validation_samples=len(theirs),
                )
            return
        which = f", of which the bottleneck arm knows {shared}" if told else ""
        yield self.finding(
            "both",
            f"The bottleneck arm validates on {len(ours)} samples, the frozen arm on {len(theirs)}{which}: their "
            "validation curves are measured on different things.",
            measured={
                "bottleneck_validation_samples": len(ours),
                "frozen_validation_samples": len(theirs),
                "samples_in_both": shared if told else None,
            },
            expected="both arms validate on the same samples",
            patch={
                "frozen.data.validation": SameAs("bottleneck"),
                "frozen.training.validation_steps": SameAs("bottleneck"),
                "frozen.training.validation_samples": SameAs("bottleneck"),
            },
            key="training.validation_steps",
        )
