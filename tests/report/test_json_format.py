"""The JSON contract: key names, round trips, and what a reader says about a broken file."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equivcheck.errors import InputError
from equivcheck.measured import Curve
from equivcheck.report.json_format import as_dict, dumps, loads
from equivcheck.report.model import Report


def test_keys_are_those_of_the_contract_in_its_order(report):
    document = json.loads(dumps(report))
    assert list(document) == [
        *("version", "name", "verdict", "summary", "findings", "cleared", "skipped", "layers", "first_divergence"),
        *("parameters", "curves", "attribution", "observed", "environment", "seconds"),
        "phases",  # beyond the contract, which allows keys at the end
        "what_if",  # beyond the contract, which allows keys at the end
    ]
    assert list(document["findings"][0]) == [
        *("code", "name", "severity", "arm", "title", "message", "measured", "expected"),
        *("location", "repair", "verified", "share"),
        "phases",  # beyond the contract, which allows keys at the end
    ]
    assert list(document["findings"][0]["location"]) == ["file", "line", "column", "layer"]
    assert list(document["findings"][0]["repair"]) == ["text", "patch"]
    assert list(document["layers"][0]) == [
        *("name", "kind", "bottleneck", "frozen", "inference", "training", "training_flag"),
        *("stochastic", "batch_dependent", "trainable", "moved", "role"),
        "undone_by",  # beyond the contract, which allows keys at the end
    ]
    assert list(document["layers"][0]["inference"]) == [
        *("max_abs", "max_rel", "cosine"),
        *("mean_abs", "beyond", "tolerance", "noise", "floor"),  # beyond the contract, as above
    ]
    assert list(document["environment"]) == ["versions", "machine", "settings"]
    assert list(document["environment"]["settings"][0]) == ["name", "bottleneck", "frozen", "differs"]


def test_round_trip_keeps_everything_but_the_spec_keys(report):
    expected = replace(
        report,
        findings=tuple(
            replace(finding, key=None, layer=finding.location and finding.location.layer) for finding in report.findings
        ),
    )
    assert loads(dumps(report)) == expected
    assert dumps(loads(dumps(report))) == dumps(report)


def test_smallest_report_makes_the_round_trip():
    report = Report(name="x", verdict="inconclusive", summary="")
    assert loads(dumps(report)) == report
    assert as_dict(report)["attribution"] is None


def test_a_report_of_an_earlier_release_is_read(report):
    """Keys were added at the end since."""
    document = as_dict(report)
    del document["what_if"]
    assert loads(json.dumps(document)) == loads(dumps(replace(report, what_if=())))


def test_unknown_is_null_not_false(report):
    finding = as_dict(report)["findings"][1]
    assert finding["verified"] is None
    assert finding["share"] is None
    assert finding["repair"] is None
    assert finding["location"] == {"file": None, "line": None, "column": None, "layer": None}


def test_non_finite_numbers_are_strings_and_come_back_as_numbers():
    curve = Curve("frozen", "loss", (1.0, math.nan, math.inf, -math.inf))
    report = Report(name="x", verdict="divergent", summary="", curves=(curve,), machine={"nested": [math.nan]})
    document = json.loads(dumps(report))
    assert document["curves"][0]["values"] == [1.0, "NaN", "Infinity", "-Infinity"]
    assert document["environment"]["machine"]["nested"] == ["NaN"]
    values = loads(dumps(report)).curves[0].values
    assert math.isnan(values[1])
    assert values[2:] == (math.inf, -math.inf)


def test_numpy_values_and_paths_become_plain_json():
    scalars = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(1), "d": np.float64(2)}
    facts = {**scalars, "e": np.array([1.0, np.nan]), "f": Path("x/y")}
    machine = as_dict(Report(name="x", verdict="divergent", summary="", machine=facts))["environment"]["machine"]
    assert machine == {"a": 0.5, "b": 3, "c": True, "d": 2.0, "e": [1.0, "NaN"], "f": "x/y"}
    assert [type(machine[key]) for key in scalars] == [float, int, bool, float]


def test_value_of_unknown_type_is_named_by_its_place():
    with pytest.raises(TypeError, match=r"environment\.machine\.x: a value of type set cannot be written"):
        dumps(Report(name="x", verdict="divergent", summary="", machine={"x": {1}}))


def test_text_is_ascii_deterministic_and_ends_with_a_newline(report):
    text = dumps(replace(report, name="Zwölf 中"))
    assert text.isascii()
    assert text.endswith("}\n")
    assert not text.endswith("\n\n")
    assert text == dumps(replace(report, name="Zwölf 中"))
    assert loads(text).name == "Zwölf 中"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(version=2), "version: this equivcheck reads version 1, the report has 2"),
        (lambda d: d.update(version=True), "version: this equivcheck reads version 1, the report has True"),
        (lambda d: d.pop("version"), 'it has no key "version"'),
        (lambda d: d.pop("name"), "the report: missing key 'name'; expected the keys version, name"),
        (lambda d: d.update(more=1), "the report: unknown key 'more'"),
        (lambda d: d.update(name=3), "name: expected a string, found 3"),
        (lambda d: d.update(verdict="fine"), "verdict: expected one of 'equivalent', 'divergent', 'inconclusive'"),
        (lambda d: d.update(layers={}), "layers: expected a list, found {}"),
        (lambda d: d.update(observed=[]), r"observed: expected an object, found \[\]"),
        (lambda d: d["findings"][2].update(share="much"), r"findings\[2\]\.share: expected a number, found 'much'"),
        (lambda d: d["findings"][0].update(location=None), r"findings\[0\]\.location: expected an object, found None"),
        (lambda d: d["findings"][0].update(verified=1), r"findings\[0\]\.verified: expected true or false, found 1"),
        (lambda d: d["layers"][4].update(moved="no"), r"layers\[4\]\.moved: expected true or false"),
        (lambda d: d["layers"][4].update(role=[]), r"layers\[4\]\.role: expected one of"),
        (lambda d: d["curves"][1]["values"].append(True), r"curves\[1\]\.values\[10\]: expected a number, found True"),
        (lambda d: d["parameters"]["frozen"].update(moved=1.5), r"parameters\.frozen\.moved: expected a whole number"),
        (lambda d: d["attribution"].pop("gap"), "attribution: missing key 'gap'"),
        (lambda d: d["curves"][0].update(arm="x" * 9 + "y" * 999, metric=0), r"curves\[0\]\.metric"),
    ],
)
def test_wrong_content_is_named_with_its_place(report, change, message):
    document = as_dict(report)
    change(document)
    with pytest.raises(InputError, match=message):
        loads(json.dumps(document))


def test_text_cut_off_anywhere_is_an_input_error(report):
    text = dumps(report).rstrip()
    for end in range(0, len(text) - 1, 97):
        with pytest.raises(InputError, match=r"not valid JSON: line \d+, column \d+"):
            loads(text[:end])
    with pytest.raises(InputError, match="ends too early; it may have been cut off"):
        loads(text[: text.index("\n", len(text) // 2)])  # behind a whole line, not within a number


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "NaN", "[" * 100_000, '{"version": 1}', "9" * 5000, "\x00"])
def test_what_is_no_report_is_an_input_error(text):
    with pytest.raises(InputError):
        loads(text)


def test_reading_and_writing_imports_no_heavy_package():
    code = (
        "import sys; from equivcheck.report.json_format import dumps, loads; "
        "print([m for m in ('tensorflow', 'keras', 'pandas', 'pydantic', 'numpy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
