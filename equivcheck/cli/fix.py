"""``run --fix``: the repaired spec beside the original, never over it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from equivcheck.errors import InputError

if TYPE_CHECKING:
    from equivcheck.findings import Patch
    from equivcheck.report.model import Report


def place_of_repaired(spec: Path) -> Path:
    """Where the repaired spec goes: ``spec.repaired.yaml`` beside ``spec.yaml``.

    Raises:
        InputError: There is something already.
    """
    place = spec.with_name(f"{spec.stem}.repaired{spec.suffix or '.yaml'}")
    if place.exists():
        raise InputError(f"{place}: exists already, and --fix overwrites nothing; remove it, or rename it")
    return place


def repairs_of(report: Report) -> Patch:
    """The repairs that were tried and held; of these only the fewest that close the gap, where that is known."""
    smallest = report.attribution["smallest"] if report.attribution else None
    patch: dict[str, object] = {}
    for finding in report.findings:
        chosen = smallest is None or finding.code in smallest
        if chosen and finding.verified and finding.repair is not None and finding.repair.patch:
            patch |= finding.repair.patch
    return patch


def write_repaired(report: Report, spec: Path, place: Path) -> bool:
    """Writes the repaired spec; False where there is nothing to repair."""
    from equivcheck.report.files import write_atomically  # noqa: PLC0415
    from equivcheck.spec import load  # noqa: PLC0415
    from equivcheck.spec.rewrite import rewritten  # noqa: PLC0415

    patch = repairs_of(report)
    if patch:
        write_atomically(place, rewritten(load(spec), patch))
    return bool(patch)
