"""What every renderer says about layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.numbers import ABSENT, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from equivcheck.measured import LayerRow
    from equivcheck.report.model import Report

#: The ``training`` value that a layer received.
FLAGS: Mapping[bool | None, str] = {True: "True", False: "False", None: ABSENT}

LEGEND = (
    "Both arms were fed identical batches. abs: largest absolute difference of the outputs in inference; rel: the same "
    "divided by the bottleneck's largest activation; fit rel: rel as fit runs the layers; flag: the training= that the "
    "layer received in fit. A source makes a difference, propagated layers hand it on. The noise floor is how far a "
    "layer's output moves when the input is changed by one rounding."
)
NOT_COMPARED = (
    "The samples of the two arms could not be matched, so no layer was compared. A bottleneck arm from your own code "
    "can name the images behind its features: see images in equivcheck.arms.protocol."
)


def parting(report: Report) -> str:
    """Both first divergences, with who made them, in a sentence each."""
    rows = {row.name: row for row in report.layers}
    told = []
    for mode, name in (("inference", report.first_divergence.inference), ("fit", report.first_divergence.training)):
        row = rows.get(name or "")
        if row is None:
            told.append(f"In {mode} no layer differs.")
            continue
        gap = row.training if mode == "fit" else row.inference
        times = f", {number(gap.multiple)} times its noise floor" if gap is not None and gap.multiple else ""
        gone = f" It is gone again behind {row.undone_by}." if row.undone_by else ""
        told.append(f"In {mode} the first layer to differ is {row.name}{times}.{gone}")
    if report.phases:
        told.append(f"All this is of phase {report.phases[0].name}.")
        told += [
            f"In phase {phase.name}, from equal weights, the first layer to differ in fit is {first}."
            for phase in report.phases[1:]
            if (first := phase.first_divergence.training) is not None
        ]
    return " ".join(told)


def role(row: LayerRow) -> str:
    """Its role, or why it has none."""
    if row.role is not None:
        return row.role
    if row.bottleneck is None:
        return "only in the frozen arm"
    return "only in the bottleneck arm" if row.frozen is None else "not compared"


def notes(row: LayerRow, report: Report) -> list[str]:
    """What is remarkable about a layer beside its role."""
    first = report.first_divergence
    remarkable = {
        "first to differ in inference": row.name == first.inference,
        "first to differ in fit": row.name == first.training,
        "stochastic": row.stochastic,
        "batch statistics": row.batch_dependent,
        "moved though not trainable": row.moved and not row.trainable,
        "moved": row.moved and row.trainable,
        "trainable but not moved": row.trainable and not row.moved,
    }
    return [note for note, holds in remarkable.items() if holds]
