"""The tables of a report as pandas DataFrames, for people who go on from there in a notebook."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from equivcheck.errors import InputError
from equivcheck.location import Location

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd

    from equivcheck.measured import Distance
    from equivcheck.report.model import Report

    Rows = Iterator[dict[str, Any]]

#: What ``Distance`` measures.
_MEASURES = ("max_abs", "max_rel", "cosine", "mean_abs", "beyond", "tolerance", "noise", "floor")

#: Columns and their pandas types; the nullable ones keep "not known" apart from False and 0.
_DISTANCES = {f"{mode}_{measure}": "float64" for mode in ("inference", "training") for measure in _MEASURES}
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "layers": {
        "name": "object",
        "kind": "object",
        "bottleneck": "object",
        "frozen": "object",
        **_DISTANCES,
        "flag_fit": "boolean",
        "flag_evaluate": "boolean",
        "flag_predict": "boolean",
        "stochastic": "bool",
        "batch_dependent": "bool",
        "trainable": "bool",
        "moved": "bool",
        "role": "object",
        "undone_by": "object",
    },
    "findings": {
        "code": "object",
        "name": "object",
        "severity": "object",
        "arm": "object",
        "title": "object",
        "message": "object",
        "measured": "object",
        "expected": "object",
        "file": "object",
        "line": "Int64",
        "column": "Int64",
        "layer": "object",
        "repair": "object",
        "patch": "object",
        "verified": "boolean",
        "share": "float64",
    },
    "cleared": {"code": "object", "name": "object", "message": "object", "measured": "object"},
    "curves": {"arm": "object", "metric": "object", "epoch": "int64", "value": "float64"},
    "settings": {"name": "object", "bottleneck": "object", "frozen": "object", "differs": "bool"},
    "parameters": {"arm": "object", "trainable": "int64", "frozen": "int64", "moved": "int64"},
    "shares": {
        "code": "object",
        **dict.fromkeys(("share", "low", "high", "alone", "repaired"), "float64"),
    },
}


def to_frame(report: Report, table: str) -> pd.DataFrame:
    """One table of the report.

    Args:
        report: Where the rows come from.
        table: ``layers``, ``findings``, ``cleared``, ``curves`` (one row an epoch), ``settings``, ``parameters`` or
            ``shares``.

    Returns:
        A DataFrame that has the same columns and types whether or not there are rows.

    Raises:
        InputError: There is no such table.
    """
    import pandas as pd  # noqa: PLC0415  (half a second that only this function needs)

    if table not in _ROWS:
        raise InputError(f'a report has no table "{table}"; it has {", ".join(_ROWS)}')
    columns = _COLUMNS[table]
    rows = list(_ROWS[table](report))
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in columns.items()})


def _layers(report: Report) -> Rows:
    for layer in report.layers:
        flag = layer.training_flag
        yield {
            **{name: getattr(layer, name) for name in _COLUMNS["layers"] if hasattr(layer, name)},
            **_distance("inference", layer.inference),
            **_distance("training", layer.training),
            "flag_fit": flag.fit,
            "flag_evaluate": flag.evaluate,
            "flag_predict": flag.predict,
        }


def _distance(mode: str, distance: Distance | None) -> dict[str, float | None]:
    return {f"{mode}_{measure}": getattr(distance, measure, None) for measure in _MEASURES}


def _findings(report: Report) -> Rows:
    for finding in report.findings:
        place = finding.location or Location(layer=finding.layer)
        yield {
            **{name: getattr(finding, name) for name in _COLUMNS["findings"] if hasattr(finding, name)},
            **asdict(place),
            "measured": dict(finding.measured),
            "repair": finding.repair and finding.repair.text,
            "patch": finding.repair and finding.repair.patch,
        }


def _cleared(report: Report) -> Rows:
    return (asdict(cleared) for cleared in report.cleared)


def _curves(report: Report) -> Rows:
    for curve in report.curves:
        for epoch, value in enumerate(curve.values, start=1):
            yield {"arm": curve.arm, "metric": curve.metric, "epoch": epoch, "value": value}


def _settings(report: Report) -> Rows:
    return (asdict(setting) for setting in report.settings)


def _parameters(report: Report) -> Rows:
    return ({"arm": arm, **asdict(count)} for arm, count in report.parameters.items())


def _shares(report: Report) -> Rows:
    return (dict(share) for share in (report.attribution["shares"] if report.attribution else ()))


_ROWS: Mapping[str, Callable[[Report], Rows]] = {
    "layers": _layers,
    "findings": _findings,
    "cleared": _cleared,
    "curves": _curves,
    "settings": _settings,
    "parameters": _parameters,
    "shares": _shares,
}
