"""The published schema: fresh, valid, and of one mind with the reader."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator

from equivcheck.errors import InputError
from equivcheck.measured import Curve
from equivcheck.report.json_format import as_dict, loads
from equivcheck.report.model import Report
from equivcheck.report.schema import report_schema


@pytest.fixture(scope="module")
def validator():
    return Draft202012Validator(report_schema())


def test_schema_is_a_valid_schema():
    Draft202012Validator.check_schema(report_schema())
    assert report_schema()["$id"] == "urn:equivcheck:report:1"


def test_committed_copy_is_fresh():
    """If this fails: equivcheck schema report > equivcheck/report/report.schema.json."""
    committed = files("equivcheck.report").joinpath("report.schema.json").read_text(encoding="utf-8")
    assert json.loads(committed) == report_schema()


def test_keys_are_described_in_the_words_of_the_docstrings():
    schema = report_schema()
    objects = [schema, *(schema["$defs"][name] for name in ("FindingEntry", "LayerRow", "Distance", "Attribution"))]
    assert all("description" in key for found in objects for key in found["properties"].values())
    role = schema["$defs"]["LayerRow"]["properties"]["role"]
    assert role["description"].startswith("``source`` makes a difference")


def test_reports_validate(report, validator):
    validator.validate(as_dict(report))
    validator.validate(as_dict(Report(name="x", verdict="inconclusive", summary="")))
    broken = replace(report, curves=(Curve("frozen", "loss", (math.nan, -math.inf)),))
    validator.validate(as_dict(broken))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(version=2),
        lambda d: d.update(more=1),
        lambda d: d.pop("seconds"),
        lambda d: d["findings"][0].update(severity="fatal"),
        lambda d: d["findings"][0].update(share="much"),
        lambda d: d["layers"][0]["inference"].pop("cosine"),
        lambda d: d["curves"][0].update(values=None),
        lambda d: d["attribution"]["shares"][0].update(low="low"),
    ],
)
def test_schema_and_reader_refuse_the_same(report, validator, change):
    document = as_dict(report)
    change(document)
    assert not validator.is_valid(document)
    with pytest.raises(InputError):
        loads(json.dumps(document))
