"""``diff_layers``: any two Keras models on the same batches, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, get_args

from equivcheck.diff.distance import differs
from equivcheck.errors import InputError
from equivcheck.measured import LayerGap

if TYPE_CHECKING:
    import keras
    import pandas as pd

Mode = Literal["inference", "training"]


@dataclass(frozen=True, slots=True)
class LayerDiff:
    """How far two models are apart, layer by layer.

    Attributes:
        mode: The mode that the models ran in.
        layers: One row per aligned pair of layer calls, in order of execution; unaligned layers among them.
        batches: Batches that went through both models.
        samples: Samples in them.
    """

    mode: Mode
    layers: tuple[LayerGap, ...]
    batches: int
    samples: int

    @property
    def equal(self) -> bool:
        """Whether every layer was compared and none differs by more than rounding."""
        return all(row.role == "equal" for row in self.layers)

    @property
    def bit_equal(self) -> bool:
        """Whether every layer was compared and no element of any differs."""
        return all(row.distance is not None and row.distance.bit_equal for row in self.layers)

    @property
    def first_divergence(self) -> str | None:
        """Full path (``name``) of the first layer whose outputs differ by more than rounding; None where none does."""
        return next((row.name for row in self.layers if differs(row.distance)), None)

    @property
    def first_inexact(self) -> str | None:
        """The first layer that is not equal to the last bit, be it by rounding only."""
        return next((row.name for row in self.layers if row.distance and not row.distance.bit_equal), None)

    @property
    def sources(self) -> tuple[str, ...]:
        """Full paths of the layers that make a difference; the others hand one on."""
        return tuple(row.name for row in self.layers if row.role == "source")

    @property
    def unaligned(self) -> tuple[LayerGap, ...]:
        """Layers that were not compared; ``reason`` says why."""
        return tuple(row for row in self.layers if row.reason)

    @property
    def first_nonfinite(self) -> tuple[str | None, str | None]:
        """The first layer of each model whose output holds NaN or infinity."""
        first, second = (
            next((path for row in self.layers if row.nonfinite[side] and (path := (row.a, row.b)[side])), None)
            for side in (0, 1)
        )
        return first, second

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame: one column a measure, empty where a layer was not compared."""
        import pandas as pd  # noqa: PLC0415  (half a second that only this method needs)

        rows = [_record(row) for row in self.layers]
        return pd.DataFrame(
            {name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in _COLUMNS.items()}
        )

    def __str__(self) -> str:
        """What came out, in a few sentences."""
        return _sentences(self)


def diff_layers(
    model_a: keras.Model,
    model_b: keras.Model,
    batches: Any,
    mode: Mode = "inference",
    *,
    batch_size: int = 32,
    max_batches: int | None = None,
) -> LayerDiff:
    """Compares two models layer by layer on the same batches, and leaves both as they were.

    Layers are aligned by full path, then by name, then by what they are and where they stand. A layer that differs is
    a *source* when its inputs agree, or when it differs also on the other model's input; else the difference is
    *propagated*. Differences are judged against the noise floor: what one rounding of the input makes of the layer.

    Args:
        model_a: The reference.
        model_b: The other; may share layers or weights with the first.
        batches: Samples (an array, or a dictionary of arrays) or batches (a ``tf.data.Dataset``, a ``PyDataset``, an
            iterable). Of a batch that is a tuple the first part is the input. Each is read once, for both models.
        mode: ``inference`` as ``predict`` runs a model, or ``training`` as ``fit`` does, where random layers of both
            models draw the same.
        batch_size: Samples to a batch where ``batches`` holds samples.
        max_batches: Batches to take at most; needed for what has no end.

    Returns:
        The rows, and which of them come first.

    Raises:
        InputError: The models or the batches cannot be compared as they are.
        InconclusiveError: A layer raised, or memory was not enough for one batch.
    """
    if mode not in get_args(Mode):
        raise InputError(f'mode: expected "inference" or "training", found {mode!r}')
    for name, number in (("batch_size", batch_size), ("max_batches", max_batches)):
        if not (name == "max_batches" and number is None) and not (isinstance(number, Integral) and number > 0):
            raise InputError(f"{name}: expected a whole number of at least 1, found {number!r}")
    from equivcheck.trace.models import diff_models  # noqa: PLC0415  (behind the wall)

    rows, count, samples = diff_models(
        model_a, model_b, batches, training=mode == "training", batch_size=batch_size, most=max_batches
    )
    return LayerDiff(mode, rows, count, samples)


_PLAIN = ("name", "kind", "a", "b", "role", "undone_by", "reason")
_MEASURES = ("max_abs", "max_rel", "mean_abs", "cosine", "beyond", "tolerance", "noise", "floor", "multiple")
_MARKS = ("nonfinite", "stochastic", "batch_dependent")
_FLAGS = ("flag_fit", "flag_evaluate", "flag_predict")

#: Columns and their pandas types; the nullable ones keep "not known" apart from False.
_COLUMNS = {
    **dict.fromkeys(_PLAIN, "object"),
    **dict.fromkeys(_MEASURES, "float64"),
    **{f"{name}_{model}": "bool" for name in _MARKS for model in ("a", "b")},
    **{f"{name}_{model}": "boolean" for name in _FLAGS for model in ("a", "b")},
}


def _record(row: LayerGap) -> dict[str, Any]:
    gap = row.distance
    record = {name: getattr(row, name) for name in _PLAIN}
    record |= {name: getattr(gap, name, None) for name in _MEASURES}
    for side, model in enumerate(("a", "b")):
        record |= {f"flag_{phase}_{model}": value for phase, value in asdict(row.flags[side]).items()}
        record |= {f"{name}_{model}": getattr(row, name)[side] for name in _MARKS}
    return record


def _sentences(diff: LayerDiff) -> str:
    on = f"{diff.samples} samples in {diff.batches} batches, {diff.mode} mode"
    compared = [row for row in diff.layers if not row.reason]
    said = []
    if diff.first_divergence is None:
        how = "equal to the last bit" if all(row.distance and row.distance.bit_equal for row in compared) else "equal"
        said.append(f"The models are {how} in all {len(compared)} layers that were compared ({on}).")
        if diff.first_inexact is not None and how == "equal":
            said.append(f"{diff.first_inexact} is the first that differs, by rounding only.")
    else:
        first = next(row for row in diff.layers if row.name == diff.first_divergence)
        said.append(f"The models part at {_named(first)}: {_size(first)} ({on}).")
        undone = f"; it is gone again behind {first.undone_by}" if first.undone_by is not None else ""
        said.append(f"{_listed('Source', diff.sources)} made the difference{undone}.")
    broken = [
        f"{model} from {path} on"
        for path, model in zip(diff.first_nonfinite, ("the first model", "the second"), strict=True)
        if path is not None
    ]
    if broken:
        said.append(f"NaN or infinity in {' and '.join(broken)}.")
    if diff.unaligned:
        said.append(f"{len(diff.unaligned)} layers were not compared: {_listed('', [r.name for r in diff.unaligned])}.")
    return " ".join(said)


def _named(row: LayerGap) -> str:
    return row.name if row.a == row.b else f"{row.b} ({row.a} in the first model)"


def _size(row: LayerGap) -> str:
    gap = row.distance
    assert gap is not None
    floor = f", {gap.multiple:.3g} times its noise floor" if gap.multiple is not None else ""
    return f"{gap.max_rel:.3g} of its largest activation{floor}"


def _listed(noun: str, names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return f"{noun}{'s' if noun and len(names) != 1 else ''} {shown}".strip()


_SHOWN = 5
