"""JUnit XML: what the dialect allows, with counts that are true."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from equivcheck.report.junit import render
from equivcheck.report.model import Report

#: Element -> the children that Jenkins' schema of JUnit XML knows, in its order.
CHILDREN = {
    "testsuites": ["testsuite"],
    "testsuite": ["properties", "testcase"],
    "testcase": ["properties", "skipped", "error", "failure", "system-out"],
    "properties": ["property"],
}


def suite_of(report):
    root = ET.fromstring(render(report))  # noqa: S314  (ours)
    assert root.tag == "testsuites"
    for element in root.iter():
        order = [CHILDREN.get(element.tag, []).index(child.tag) for child in element]
        assert order == sorted(order), element.tag
        if element.tag == "testcase":
            assert {"classname", "name"} <= set(element.attrib)
    [suite] = root
    counted = {"tests": len(suite.findall("testcase"))} | {
        name: len(suite.findall(f"testcase/{tag}"))
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    assert {name: int(suite.get(name)) for name in counted} == counted
    assert {name: int(root.get(name)) for name in counted} == counted
    return suite


def test_errors_fail_and_the_rest_passes(report):
    suite = suite_of(report)
    assert [case.get("name") for case in suite.findall("testcase[failure]")] == [
        "EQ402 batchnorm-uses-batch-statistics (frozen arm)",
        "EQ104 class-sorted-batches (frozen arm)",
        "EQ401 dropout-active-in-backbone (frozen arm)",
    ]
    failure = suite.find("testcase/failure")
    assert failure.get("message") == "A frozen BatchNormalization normalises with batch statistics"
    assert "where: frozen arm · specs/two-class-inception.yaml:37:20" in failure.text
    assert "  keras_semantics: '3'" in failure.text
    assert [case.get("name") for case in suite.findall("testcase[skipped]")] == ["EQ403", "EQ803"]
    assert suite.find("testcase[@name='EQ301 label-encoding-differs']/system-out").text.startswith("cleared: ")


def test_properties_carry_code_share_and_verdict(report):
    case = suite_of(report).find("testcase[failure]")
    told = {each.get("name"): each.get("value") for each in case.findall("properties/property")}
    assert told == {"code": "EQ402", "severity": "error", "share": "-31.7", "verdict": "divergent"}


@pytest.mark.parametrize(
    ("verdict", "tag"), [("equivalent", "system-out"), ("divergent", "failure"), ("inconclusive", "error")]
)
def test_a_verdict_that_no_finding_explains_is_a_case(verdict, tag):
    suite = suite_of(Report("a.b", verdict, "Because."))
    [case] = suite.findall("testcase")
    assert case.find(tag).text == "Because."
    assert case.get("classname") == "equivcheck.a_b"


def test_an_explained_verdict_fails_once(report):
    assert suite_of(report).find("testcase[@name='verdict']/failure") is None
    only_warning = replace(report, findings=(replace(report.findings[0], severity="warning"),))
    assert suite_of(only_warning).find("testcase[@name='verdict']/failure") is not None
