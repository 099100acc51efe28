"""A check that itself fails, through the command line: told with its code and reason, and never passed over."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from equivcheck.catalog import all_checks
from equivcheck.cli import cli

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("tensorflow")]


class Broken:
    """Judges nothing: it raises."""

    code, name, requires, subject = "EQ888", "broken-check", (), "arms"

    def __init__(self, error):
        self.error = error

    def examine(self, _evidence):
        """Breaks."""
        raise self.error


@pytest.fixture
def run(tiny, monkeypatch):
    """Runs the tiny spec, with text changed, under a catalogue that holds one broken check."""
    from equivcheck import pipeline

    def running(*options, error=None, more=""):
        monkeypatch.setattr(pipeline, "all_checks", lambda: (*all_checks(), Broken(error or RuntimeError("boom"))))
        spec = tiny.folder / "broken.yaml"
        spec.write_text(tiny.text.replace("epochs: 2", "epochs: 1") + more, encoding="utf-8")
        arguments = ["run", str(spec), "--quiet", "--cache-dir", str(tiny.folder), *options]
        return CliRunner().invoke(cli, arguments)

    return running


def test_nothing_found_is_then_not_equivalent(run):
    """Three: neither equivalent nor divergent. All other checks have judged."""
    result = run("--output-format", "json")
    assert result.exit_code == 3, result.output
    report = json.loads(result.stdout)
    assert report["verdict"] == "inconclusive"
    assert report["findings"] == []
    assert "EQ888" in report["summary"]
    # The others that are skipped have nothing to judge: no logs were given.
    told = [skipped["reason"] for skipped in report["skipped"] if skipped["code"] == "EQ888"]
    assert told == ["the check itself failed: RuntimeError: boom"]


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), MemoryError(), RecursionError("too deep")])
def test_whatever_it_raises(run, error):
    result = run("--output-format", "json", error=error)
    assert result.exit_code == 3, result.output
    (skipped,) = (found for found in json.loads(result.stdout)["skipped"] if found["code"] == "EQ888")
    assert skipped["reason"].startswith(f"the check itself failed: {type(error).__name__}")


def test_it_hides_nothing_that_the_others_found(run):
    result = run("--output-format", "json", more="frozen: {preprocessing: none}\n")
    assert result.exit_code == 1, result.output
    report = json.loads(result.stdout)
    assert report["verdict"] == "divergent"
    assert [finding["code"] for finding in report["findings"]] == ["EQ201"]
    assert "EQ888" in {skipped["code"] for skipped in report["skipped"]}


def test_the_terminal_tells_it(run):
    result = run()
    assert result.exit_code == 3
    assert result.stdout.startswith("INCONCLUSIVE")
    said = " ".join(result.stdout.split())
    assert "broken could not be judged: EQ888: the check itself failed: RuntimeError: boom." in said
    assert "Checks that did not judge" in said


def test_the_terminal_tells_it_beside_findings(run):
    said = " ".join(run(more="frozen: {preprocessing: none}\n").stdout.split())
    assert said.startswith("DIVERGENT")
    assert "EQ888 the check itself failed: RuntimeError: boom" in said
