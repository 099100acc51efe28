"""The README is true: its commands run, its specs are specs, its code works, its report is one."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import equivcheck
from equivcheck import assertion
from equivcheck.catalog import all_checks
from equivcheck.cli import cli
from equivcheck.report.json_format import loads
from equivcheck.spec import load, recording, resolve

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

#: Language and text of every fenced block.
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for kind, text in BLOCKS if kind == language]


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]
QUICK = [line for line in COMMANDS if "combined.json" not in line]


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A folder that looks like a clone and may be written to."""
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EQUIVCHECK_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    sys.modules.pop("train", None)  # the module of the README's own arms


def call(line):
    program, *arguments = shlex.split(line)
    assert program == "equivcheck"
    return CliRunner().invoke(cli, arguments, prog_name=program)


def test_every_block_is_of_a_language_that_is_tested_here():
    assert {kind for kind, _ in BLOCKS} == {"bash", "console", "python", "sh", "text", "yaml", "yml"}


@pytest.mark.parametrize("line", QUICK)
def test_a_quick_command_runs(line, clone):
    result = call(line)
    assert result.exit_code == 0, result.output


def test_every_command_is_shown():
    shown = {shlex.split(line)[1] for line in COMMANDS}
    assert shown == set(cli.commands)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_spec_is_right(text, tmp_path):
    (tmp_path / "spec.yaml").write_text(text, encoding="utf-8")
    document = load(tmp_path / "spec.yaml")
    assert recording(document) or resolve(document)


def test_the_table_of_checks_is_the_catalogue():
    rows = re.findall(r"^\| (EQ\d+) \| (\S+) \| (.+) \|$", README, re.MULTILINE)
    assert rows == [(check.code, check.name, check.title) for check in all_checks()]


def test_the_fresh_clone_commands_stand_first():
    """Whoever only reads the beginning can start."""
    first, second = blocks("bash")[0].splitlines()
    assert first.endswith("&& .venv/bin/equivcheck run fixtures/combined/spec.yaml")
    assert second.endswith("&& .venv/bin/pytest")
    assert BLOCKS[0][0] == "bash"


@pytest.mark.tensorflow
def test_the_report_is_what_a_run_gives(clone, monkeypatch):
    """Verdict, causes, first layer and, line by line, all that is no number that rounding could change."""
    run, again = (line for line in COMMANDS if "combined.json" in line)
    result = call(f"{run} --budget 900")  # a slow machine must not leave replays out
    assert result.exit_code == 1, result.output
    report = loads((clone / "combined.json").read_text(encoding="utf-8"))
    [excerpt] = blocks("text")
    assert excerpt.startswith(f"{report.verdict.upper()}  {report.name}  ")
    assert re.findall(r"^\d\.  (EQ\d+)  ", excerpt, re.MULTILINE) == [finding.code for finding in report.findings]
    assert f"first part at\n{report.first_divergence.training}." in excerpt
    printed = {line.rstrip() for line in result.stdout.splitlines()}
    shown = [line for line in excerpt.splitlines() if "…" not in line and not re.search(r"\d", line)]
    # The end of the summary is joined to its beginning where sentences were left out.
    assert [line for line in shown if line not in printed] == []
    assert call(again).exit_code == 0

    # The same report serves the Python example, so that nothing is trained twice.
    monkeypatch.setattr(equivcheck, "run", lambda _spec: report)
    monkeypatch.setattr(assertion, "run", lambda _spec: report)
    [example] = [block for block in blocks("python") if "equivcheck.run" in block]
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102  (it is ours)


@pytest.mark.tensorflow
def test_the_diff_of_two_models_is_as_said(tensorflow, capsys):
    [example] = [block for block in blocks("python") if "diff_layers" in block]
    names = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102  (it is ours)
    assert names["diff"].sources == ("block_3_depthwise",)
    said = re.search(r"print\(diff\)  # (.*)…", example).group(1)
    assert capsys.readouterr().out.startswith(said)


@pytest.mark.tensorflow
def test_arms_from_own_code_run(clone):
    [spec] = [block for block in blocks("yaml") if "callable" in block.splitlines()[1]]
    [code] = [block for block in blocks("python") if block.startswith("# train.py")]
    (clone / "own.yaml").write_text(spec, encoding="utf-8")
    (clone / "train.py").write_text(code, encoding="utf-8")
    result = call("equivcheck run own.yaml --output-format json")
    assert result.exit_code == 1, result.output
    findings = json.loads(result.stdout)["findings"]
    assert [finding["code"] for finding in findings if finding["severity"] == "error"] == ["EQ401"]
