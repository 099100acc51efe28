"""Tables for a notebook."""

from __future__ import annotations

import pytest

from equivcheck.errors import InputError
from equivcheck.report.model import Report

TABLES = ("layers", "findings", "cleared", "curves", "settings", "parameters", "shares")


def test_layers_have_a_row_each_and_flat_columns(report):
    frame = report.to_frame("layers")
    assert len(frame) == len(report.layers)
    source = frame.set_index("name").loc["backbone/dropout"]
    assert source["training_max_rel"] == 0.8123
    assert source["inference_max_abs"] == 0.0
    assert source["flag_fit"]
    assert source["stochastic"]
    assert frame.query("role == 'source' and batch_dependent")["kind"].unique().tolist() == ["BatchNormalization"]


def test_layers_of_one_arm_have_no_distance(report):
    from dataclasses import replace

    lonely = replace(report.layers[0], frozen=None, inference=None, training=None, role=None)
    frame = replace(report, layers=(lonely,)).to_frame("layers")
    assert frame.loc[0, ["inference_max_abs", "training_cosine"]].isna().all()


def test_findings_keep_unknown_apart_from_false(report):
    frame = report.to_frame("findings").set_index("code")
    assert frame.loc["EQ402", "line"] == 37
    assert frame.loc["EQ402", "layer"] == "backbone/conv2d_1_bn"
    assert frame.loc["EQ402", "patch"] == {"frozen.keras_semantics": "3", "frozen.training.batch_size": 24}
    assert frame["verified"].isna().tolist() == [False, True, False, True, True]
    assert frame["line"].isna().tolist() == [False, True, False, False, False]
    assert frame["share"].sum() == pytest.approx(-44.3)


def test_curves_are_long_and_count_epochs_from_one(report):
    frame = report.to_frame("curves")
    assert frame["epoch"].min() == 1
    wide = frame[frame["metric"] == "val_accuracy"].pivot_table(index="epoch", columns="arm", values="value")
    assert wide.loc[10, "frozen"] == 0.5
    assert wide.loc[10, "repaired"] == wide.loc[10, "bottleneck"]


def test_settings_parameters_and_cleared(report):
    assert report.to_frame("settings")["differs"].sum() == 4
    assert report.to_frame("parameters").set_index("arm").loc["frozen", "moved"] == 3074
    assert report.to_frame("cleared")["code"].tolist() == ["EQ301"]


@pytest.mark.parametrize("table", TABLES)
def test_empty_tables_have_the_same_columns_and_types(report, table):
    empty = Report(name="x", verdict="equivalent", summary="").to_frame(table)
    assert len(empty) == 0
    assert empty.dtypes.to_dict() == report.to_frame(table).dtypes.to_dict()


def test_unknown_table_is_an_input_error(report):
    with pytest.raises(InputError, match='no table "layer"; it has layers, findings, cleared, curves'):
        report.to_frame("layer")


@pytest.mark.parametrize("table", TABLES)
def test_a_table_survives_csv(report, table):
    """Commas, quotes and line breaks of foreign text stay in their cells."""
    import io
    from dataclasses import replace

    import pandas as pd

    text = 'a,b "c"\nd;e'
    foreign = replace(report, findings=tuple(replace(finding, message=text) for finding in report.findings))
    frame = foreign.to_frame(table)
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert list(again.columns) == list(frame.columns)
    assert len(again) == len(frame)
    if table == "findings":
        assert set(again["message"]) == {text}


def test_shares_add_up(report):
    shares = report.to_frame("shares")
    assert shares["code"].tolist() == ["EQ402", "EQ104", "EQ401"]
    assert shares["share"].sum() + report.attribution["residual"] == pytest.approx(report.attribution["gap"])
