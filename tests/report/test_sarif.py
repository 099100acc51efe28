"""SARIF: valid by the official schema, and alerts stand at the lines of the spec."""

from __future__ import annotations

import json
from dataclasses import replace
from inspect import cleandoc
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from equivcheck.catalog import check_of
from equivcheck.location import Location
from equivcheck.report.model import Report
from equivcheck.report.sarif import render

SCHEMA = json.loads((Path(__file__).parent / "schemas/sarif-schema-2.1.0.json").read_text(encoding="utf-8"))


def run_of(report):
    document = json.loads(render(report))
    errors = [f"{list(error.path)}: {error.message}" for error in Draft7Validator(SCHEMA).iter_errors(document)]
    assert errors == []
    [run] = document["runs"]
    return run


def test_the_schema_can_refuse():
    assert list(Draft7Validator(SCHEMA).iter_errors({"version": "2.1.0", "runs": [{}]}))


def test_findings_are_results_at_their_lines(report):
    run = run_of(report)
    assert [result["ruleId"] for result in run["results"]] == ["EQ402", "EQ104", "EQ401", "EQ202", "EQ801"]
    assert [result["level"] for result in run["results"]] == ["error"] * 3 + ["warning", "note"]
    [location] = run["results"][0]["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "specs/two-class-inception.yaml"},
        "region": {"startLine": 37, "startColumn": 20},
    }
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "backbone/conv2d_1_bn"
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert run["results"][0]["properties"]["share"] == -31.7
    assert run["results"][0]["message"]["text"].startswith("A frozen BatchNormalization normalises")


def test_a_rule_says_what_its_check_says_of_itself(report):
    rules = {rule["id"]: rule for rule in run_of(report)["tool"]["driver"]["rules"]}
    check = check_of("EQ402")
    assert rules["EQ402"]["fullDescription"]["text"] == f"{cleandoc(check.what)}\n\n{cleandoc(check.why)}"
    assert cleandoc(check.advice) in rules["EQ402"]["help"]["text"]
    assert "## How it is measured\n" in rules["EQ402"]["help"]["markdown"]
    assert {code: rule["defaultConfiguration"]["level"] for code, rule in rules.items()} == {
        **dict.fromkeys(("EQ104", "EQ401", "EQ402"), "error"),
        **dict.fromkeys(("EQ202", "EQ801"), "warning"),
    }


def test_a_check_of_another_version_still_has_a_rule(report):
    [rule] = run_of(replace(report, findings=(replace(report.findings[0], code="EQ999"),)))["tool"]["driver"]["rules"]
    assert rule["id"] == "EQ999"
    assert set(rule) == {"id", "name", "shortDescription"}


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("a b/ä#?.yaml", "a%20b/%C3%A4%23%3F.yaml"),
        ("/abs/spec.yaml", "file:///abs/spec.yaml"),
        ("C:\\specs\\a.yaml", "file:///C:/specs/a.yaml"),
        ("specs\\a.yaml", "specs/a.yaml"),
    ],
)
def test_paths_become_uris(report, file, uri):
    finding = replace(report.findings[0], location=Location(file, 3, None))
    [result] = run_of(replace(report, findings=(finding,)))["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]) == (uri, {"startLine": 3})


def test_an_alert_stays_the_same_when_its_line_moves(report):
    finding = report.findings[0]
    moved = replace(finding, location=replace(finding.location, line=99), message="other")
    prints = [
        run_of(replace(report, findings=(each,)))["results"][0]["partialFingerprints"]
        for each in (finding, moved, replace(finding, arm="both"))
    ]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize(("text", "told"), [("{0}", "{{0}}"), ("[a](b)", "\\[a](b)"), ('{"a": [1]}', '{"a": [1]}')])
def test_messages_hold_neither_placeholders_nor_links(report, text, told):
    finding = replace(report.findings[0], message=text, repair=None)
    [result] = run_of(replace(report, findings=(finding,)))["results"]
    assert result["message"]["text"].endswith(f"\n{told}")


def test_an_inconclusive_run_did_not_succeed():
    assert run_of(Report("x", "inconclusive", ""))["invocations"][0]["executionSuccessful"] is False
    assert run_of(Report("x", "equivalent", ""))["results"] == []


def test_foreign_and_odd_reports_are_valid_too(report):
    surrogate, long = "\ud800 \x00 ]]> {0}", "y" * 10_000
    for place in (Location(surrogate, 0, 0, long), Location(long, -1, None), Location("", 1, 1), None):
        finding = replace(report.findings[0], code=surrogate, title=long, location=place, layer=None)
        run_of(replace(report, findings=(finding,), name=surrogate, versions={"equivcheck": surrogate}))
