"""Annotations of a GitHub workflow."""

from __future__ import annotations

from dataclasses import replace

from equivcheck.location import Location
from equivcheck.report.github import commands
from equivcheck.report.model import Report


def test_a_command_a_finding_at_its_line(report):
    told = commands(report)
    assert len(told) == 5
    assert told[0].startswith(
        "::error file=specs/two-class-inception.yaml,line=37,col=20,"
        "title=EQ402 A frozen BatchNormalization normalises with batch statistics::While the head"
    )
    assert "%0ARepair: Keep the backbone" in told[0]
    assert [line.split(" ")[0] for line in told] == ["::error"] * 3 + ["::warning", "::notice"]
    assert told[4].startswith("::notice title=EQ801")


def test_nothing_foreign_ends_a_command_or_begins_one(report):
    text = "a,b:c%0A\n::error::x\r\n\x1b[31m"
    finding = replace(report.findings[0], title=text, message=text, location=Location(text, 1, 1))
    [line] = commands(replace(report, findings=(finding,)))
    assert "\n" not in line
    assert "\r" not in line
    assert "\x1b" not in line
    properties, _, message = line.removeprefix("::error ").partition("::")
    assert [part.split("=")[0] for part in properties.split(",")] == ["file", "line", "col", "title"]
    assert message.startswith("a,b:c%250A%0A::error::x%0A")


def test_a_verdict_that_no_finding_explains_is_an_error():
    assert commands(Report("x", "equivalent", "Fine.")) == []
    assert commands(Report("x", "inconclusive", "Why.")) == ["::error title=equivcheck%3A inconclusive::Why."]
    assert commands(Report("x", "divergent", "Why."))[0].startswith("::error title=equivcheck%3A divergent")
