"""EQ104: batches come sorted by class."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from equivcheck.check import Check, Fault
from equivcheck.diff.runs import count_runs, is_class_sorted, runs_score
from equivcheck.evidence import Evidence, OrderTrace
from equivcheck.findings import ArmName, Cleared, Finding, SameAs


class ClassSortedBatches(Check):
    """Judges training orders with too few changes of class."""

    code = "EQ104"
    name = "class-sorted-batches"
    title = "Training batches come sorted by class"
    what = "Finds a training iterator that walks one class after the other, as an unshuffled folder reader does."
    why = (
        "Each batch holds one class, so each step teaches the head to answer that class, and the next class undoes "
        "it. Training accuracy looks high while the labels stand still; at the end of each epoch the head favours the "
        "class it saw last, and validation is near chance."
    )
    shows = """\
x, y = np.zeros((8, 4), "float32"), np.repeat([0, 1], 4)[:, None]
end_to_end.fit(x, y, shuffle=False, verbose=0)
"""
    clean = """\
x, y = np.zeros((8, 4), "float32"), np.repeat([0, 1], 4)[:, None]
end_to_end.fit(x, y, shuffle=True, verbose=0)
"""
    measured = (
        "`fit` pulls two epochs from the real iterator. The number of runs of equal labels is compared with that of a "
        "random order (Wald-Wolfowitz runs test, p < 0.001), and the classes per batch are counted."
    )
    mistaken_for = "Few samples, where a random order may look sorted; an order that alternates classes, which is fine."
    advice = (
        "Pass shuffle=True to fit, or to the reader of the folder (`flow_from_directory(shuffle=True)`). Feature "
        "extraction needs shuffle=False; training does not."
    )
    references = (
        "https://github.com/keras-team/keras/issues/2389",
        "https://github.com/tensorflow/tensorflow/issues/12789",
        "Wald and Wolfowitz 1940; Barton and David 1957 (runs test)",
    )
    requires = ("EQ107",)
    fault = Fault({"frozen.training.shuffle": False})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding; a warning where both arms are sorted."""
        is_sorted = {name: is_class_sorted(arm.train.labels[0]) for name, arm in evidence.arms()}
        if not any(is_sorted.values()):
            return
        both = all(is_sorted.values())
        arm: ArmName = "frozen" if is_sorted["frozen"] else "bottleneck"
        other: ArmName = "bottleneck" if arm == "frozen" else "frozen"
        order = dict(evidence.arms())[arm].train
        runs = count_runs(order.labels[0])
        yield self.finding(
            "both" if both else arm,
            f"The {'arms see' if both else arm + ' arm sees'} {len(order.labels[0])} samples in {runs} runs of one "
            f"class, {_classes_per_batch(order):.1f} classes per batch; each run pulls the head towards one class and "
            "the next undoes it" + ("." if both else f", while the {other} arm mixes them."),
            measured={
                "runs_of_one_class": runs,
                "samples": len(order.labels[0]),
                "runs_score_standard_deviations": round(runs_score(order.labels[0]), 2),
                "mean_classes_per_batch": _classes_per_batch(order),
                f"{other}_runs_of_one_class": count_runs(dict(evidence.arms())[other].train.labels[0]),
            },
            expected="batches mix the classes as a random order does",
            severity="warning" if both else "error",
            patch={"training.shuffle": True}
            if both
            else {f"{arm}.training.shuffle": SameAs(other), f"{arm}.data.train": SameAs(other)},
            key="training.shuffle",
        )


def _classes_per_batch(order: OrderTrace) -> float:
    edges = np.cumsum(order.batches[0])[:-1]
    return float(np.mean([len(np.unique(batch)) for batch in np.split(order.labels[0], edges)]))
