"""What each arm did, side by side, in words: measured, not declared."""

from __future__ import annotations

import numpy as np

from equivcheck.diff.affine import looks_like
from equivcheck.diff.runs import is_class_sorted
from equivcheck.evidence import ArmEvidence, Evidence, OrderTrace
from equivcheck.measured import Setting


def settings_of(evidence: Evidence) -> tuple[Setting, ...]:
    """One row per thing that both arms do."""
    columns = [_describe(arm, bottleneck=name == "bottleneck") for name, arm in evidence.arms()]
    left, right = columns
    return tuple(
        Setting(name, left[name], right[name], left[name] != right[name] and name not in _EXPECTED_TO_DIFFER)
        for name in left
    )


#: The stored features are the very thing that the two arms do differently.
_EXPECTED_TO_DIFFER = frozenset({"what fit is given"})


def _describe(arm: ArmEvidence, *, bottleneck: bool) -> dict[str, str]:
    sizes = sorted(set(arm.train.batches[0]), reverse=True)
    optimizer = dict(arm.optimizer)
    rate = optimizer.get("learning_rate")
    return {
        "what fit is given": "stored features" if bottleneck else "images",
        "training samples per epoch": str(len(arm.train.samples[0])),
        "order of training samples": _order(arm.train),
        "batch sizes": ", ".join(map(str, sizes)),
        "validation samples": str(len(arm.validation.samples[0])) if arm.validation else "none",
        "input of the first kernel": _input(arm),
        "labels": f"{arm.labels.encoding}, {arm.labels.dtype} {_shape(arm.labels.shape)}",
        "classes": ", ".join(arm.class_names),
        "loss": arm.labels.loss,
        "optimizer": str(optimizer.get("name", "none"))
        + (f", learning rate {rate:g}" if isinstance(rate, float) else ""),
        "trainable scalars": f"{arm.parameters.trainable:,}",
        "scalars moved by one step": f"{arm.parameters.moved:,}",
        "stochastic layers in the backbone": _named(
            [
                layer.path
                for layer in arm.layers
                if layer.region == "backbone" and layer.stochastic and not layer.composite
            ]
        ),
        "layers on batch statistics": _count(
            [
                layer.path
                for layer in arm.layers
                if layer.region == "backbone" and layer.batch_gap > 0 and not layer.composite
            ]
        ),
        "moving statistics changed by one step": str(
            sum(v.statistic and v.change > 0 and v.region == "backbone" for v in arm.variables)
        ),
    }


def _input(arm: ArmEvidence) -> str:
    if arm.input is None:
        return "not known"
    return arm.input.against_raw.name if arm.input.against_raw else looks_like(arm.input.tensor)


def _order(order: OrderTrace) -> str:
    first, *later = order.samples
    again = (
        "" if not later else ", the same every epoch" if np.array_equal(first, later[0]) else ", another every epoch"
    )
    if is_class_sorted(order.labels[0]):
        return f"sorted by class{again}"
    if order.available is None:
        return f"as the iterator gives them{again}"
    if np.array_equal(first, np.sort(first)):
        return f"as stored{again}"
    return f"shuffled{again}"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("n" if size is None else str(size) for size in shape) + ")"


def _named(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "") if paths else "none"  # noqa: PLR2004


def _count(paths: list[str]) -> str:
    return f"{len(paths)}, from {paths[0]} on" if paths else "none"
