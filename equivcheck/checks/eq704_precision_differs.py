"""EQ704: the two arms compute in different number types."""

from __future__ import annotations

from collections.abc import Iterable

from equivcheck.check import Check, Fault
from equivcheck.diff.distance import differs
from equivcheck.diff.tally import NOISE
from equivcheck.evidence import Evidence
from equivcheck.findings import Cleared, Finding, SameAs

#: One rounding to half precision: float16 keeps eleven significant bits (IEEE 754-2008).
_HALF = 2.0**-11
_FLOATS = ("float", "bfloat")


class PrecisionDiffers(Check):
    """Judges the number types of aligned layers by what they change."""

    code = "EQ704"
    name = "precision-differs"
    title = "The two arms compute in different precision"
    what = (
        "Finds layers that give another number type in one arm (mixed precision, float64), and features that were "
        "stored in half precision; and tells whether that matters."
    )
    why = (
        "Half precision keeps three decimal digits of each activation, bfloat16 two. In the backbone alone that is "
        "usually lost in the noise; in the head it reaches every gradient, small ones vanish, and the weights part "
        "from the first step on."
    )
    shows = """\
head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2, dtype="mixed_bfloat16")])
"""
    clean = """\
head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
end_to_end = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)])
"""
    measured = (
        "The type of each layer's output is read off the tensors themselves. It is reported where a backbone layer is "
        "further from its partner than four roundings of the coarser type explain, or where the gradients of the head "
        "differ by more than 1e-5 of the largest. Otherwise the difference is cleared with its size."
    )
    mistaken_for = (
        "Features stored in float16, or a backbone alone in mixed_float16: about 3e-4 relative, which is cleared. "
        "Variables, which stay float32 under a mixed policy. Integer images."
    )
    advice = (
        "Use one policy in both arms (`keras.config.set_dtype_policy`), or keep the head in float32: "
        '`keras.layers.Dense(..., dtype="float32")`.'
    )
    references = (
        "https://keras.io/api/mixed_precision/",
        "Micikevicius et al. 2018, Mixed precision training",
    )
    fault = Fault({"frozen.precision": "mixed_float16"})

    def examine(self, evidence: Evidence) -> Iterable[Finding | Cleared]:
        """A finding where the types change more than their own rounding, else they are cleared."""
        cut = evidence.cut
        ours = {layer.path: layer for layer in evidence.bottleneck.layers}
        theirs = {layer.path: layer for layer in evidence.frozen.layers}
        pairs = [
            (row, ours[row.bottleneck], theirs[row.frozen])
            for row in evidence.rows
            if row.bottleneck in ours and row.frozen in theirs
        ]
        other = [(row, a, b) for row, a, b in pairs if a.dtype != b.dtype and _is_float(a.dtype) and _is_float(b.dtype)]
        if not other:
            gap = cut.feature_gap if cut is not None else None
            if cut is not None and cut.stored in {"float16", "bfloat16"} and gap is not None and gap <= _HALF:
                yield self.cleared(
                    f"the stored features are {cut.stored}, {gap:.1g} of the largest feature from those of the frozen "
                    "arm: one rounding",
                    largest_relative_difference=gap,
                )
            return
        update = evidence.update
        gradients = max((gap.max_rel for gap in update.gradients), default=0.0) if update is not None else 0.0
        skipped = update.skipped if update is not None else 0
        head = any(b.region == "head" for _, _, b in other) and not gradients <= NOISE
        backbone = [
            row for row, _, b in other if b.region == "backbone" and row.role == "source" and differs(row.training)
        ]
        measured = {
            "layers": len(other),
            "bottleneck_type": other[0][1].dtype,
            "frozen_type": other[0][2].dtype,
            "largest_relative_activation_difference": max(
                (row.training.max_rel for row, _, _ in other if row.training is not None), default=0.0
            ),
            "largest_difference_relative_to_largest_gradient": gradients,
            "skipped_steps": skipped,
        }
        if not head and not backbone:
            yield self.cleared(
                f"{len(other)} layers compute in {other[0][1].dtype} in the bottleneck arm and in {other[0][2].dtype} "
                "in the frozen arm, within the rounding of the coarser type",
                **measured,
            )
            return
        if not head:
            effect = f"{len(backbone)} layers of the backbone differ by more than four roundings of that type."
        else:
            effect = f"The gradients of equal heads differ by {gradients:.2g} of the largest."
        if skipped:
            first = "first step" if skipped == 1 else f"first {skipped} steps"
            effect += f" The frozen arm's scaled gradients overflow, so it skips its {first}."
        yield self.finding(
            "both",
            f"{len(other)} layers, from {other[0][2].path} on, compute in {other[0][1].dtype} in the bottleneck arm "
            f"and in {other[0][2].dtype} in the frozen arm. {effect}",
            measured=measured,
            expected="both arms compute in the same precision",
            patch={"frozen.precision": SameAs("bottleneck")},
            key="precision",
            layer=other[0][2].path,
        )


def _is_float(dtype: str) -> bool:
    return dtype.startswith(_FLOATS)
