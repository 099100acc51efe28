"""EQ705: the user's code gives another arm each time, although every seed is set."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding


class RunNotReproducible(Check):
    """Judges arms that were built twice from one seed."""

    code = "EQ705"
    name = "run-not-reproducible"
    title = "The same code gives another arm on each run"
    what = (
        "Finds functions of the user's that build another model or other data each time they are called, although the "
        "seeds of Python, NumPy and Keras were set right before."
    )
    why = (
        "If an arm does not even agree with itself, a difference between two arms says nothing: it may be gone, or "
        "another one, in the next run. So nothing can be concluded until the code draws from a seed."
    )
    shows = """\
random = np.random.default_rng()  # from the operating system, whatever seed is set
layer = keras.layers.Dense(2, kernel_initializer=lambda shape, dtype=None: random.normal(size=shape))
model = keras.Sequential([keras.Input((8,)), layer])
"""
    clean = """\
random = np.random.default_rng(0)
layer = keras.layers.Dense(2, kernel_initializer=lambda shape, dtype=None: random.normal(size=shape))
model = keras.Sequential([keras.Input((8,)), layer])
"""
    measured = (
        "Each function of the user's is called twice, with the same seed set right before. All weights, the training "
        "arrays, or the samples and labels of the first epoch of its iterator, are compared to the last bit. Nothing "
        "is trained for that; what a spec alone describes is not asked."
    )
    mistaken_for = (
        "Code that sets no seed but draws from the global generators: those are seeded before each call. A function "
        "that returns the very same model object again, of which nothing can be said."
    )
    advice = (
        "Give every generator a seed: `np.random.default_rng(0)`, `keras.random.SeedGenerator(0)`, "
        "`shuffle(..., seed=0)`; do not draw from the clock, and sort what `os.listdir` or a set returns."
    )
    references = (
        "https://keras.io/examples/keras_recipes/reproducibility_recipes/",
        "https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism",
    )
    requires = ("EQ208",)  # which changes the very arrays that a second call begins with
    fault = Fault(
        {"frozen.backbone.callable": "networks:unseeded"},
        start={"backbone.file": None, "backbone.cut": None, "backbone.callable": "networks:plain"},
    )

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """One finding an arm."""
        for name, arm in evidence.arms():
            repeat = arm.repeat
            if repeat is None:
                continue
            other_data = repeat.other_data and not repeat.rescaled  # that is why they are others (EQ208)
            if not (repeat.other_variables or other_data):
                continue
            parts = []
            if repeat.other_variables:
                parts.append(
                    f"{len(repeat.other_variables)} of {repeat.variables} weights and statistics had other values, "
                    f"first {repeat.other_variables[0]}"
                )
            if other_data:
                parts.append("its training data were others, or came in another order")
            yield self.finding(
                name,
                f"The code of the {name} arm was run twice with the same seed, and {'; '.join(parts)}. Two runs of "
                "this experiment differ by chance alone.",
                measured={
                    "variables": repeat.variables,
                    "variables_with_other_values": len(repeat.other_variables),
                    "training_data_differ": other_data,
                },
                expected="the same code and the same seed give the same arm",
                key="backbone.callable",
            )
