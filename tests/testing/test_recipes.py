"""What README.md says of pytest, CI and the callback, done as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from equivcheck.testing.baseline import read_baseline

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language, part):
    """The one block of a language that holds a text."""
    (found,) = (
        text
        for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
        if kind == language and part in text
    )
    return found


def test_the_baseline_is_one(tmp_path):
    (tmp_path / "b.yaml").write_text(block("yml", "accepted:"), encoding="utf-8")
    (entry,) = read_baseline(tmp_path / "b.yaml")
    assert (entry.code, entry.arm) == ("EQ402", "frozen")


def test_every_option_and_key_is_in_the_table(project):
    cells = [cell for line in README.splitlines() if line.startswith("| ") for cell in line.split("|")[1:3]]
    shown = {name for cell in cells for name in re.findall(r"`((?:--)?equivcheck[-_]\w[-\w]*)`", cell)}
    told = project.run("--help").stdout.str()
    assert shown == set(re.findall(r"^  (--equivcheck-[a-z-]+|equivcheck_[a-z_]+)\b", told, re.MULTILINE))


def test_the_workflow_runs_what_there_is(project):
    workflow = YAML(typ="safe", pure=True).load(block("yml", "runs-on"))
    (job,) = workflow["jobs"].values()
    (command,) = (step["run"] for step in job["steps"] if step.get("run", "").startswith("pytest "))
    project.spec("specs/a.equiv.yaml", project.finding())
    result = project.run(*shlex.split(command)[1:])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (upload,) = (step["with"]["path"] for step in job["steps"] if "upload" in step.get("uses", ""))
    assert all((project.path / name).exists() for name in upload.split())


def test_the_marked_tests_are_tests(project):
    project.spec("specs/inception.yaml", project.finding("EQ201"))
    project.spec("specs/vgg.yaml")
    project.pytester.makepyfile(block("python", "pytest.mark.equivcheck"))
    project.run("--strict-markers").assert_outcomes(passed=2)


@pytest.mark.tensorflow
def test_the_guard_says_what_is_shown(tensorflow, capsys):
    import keras

    keras.utils.set_random_seed(0)  # the tests run with op determinism, which wants one
    example = block("python", "EquivalenceGuard(base")
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102  (it is ours)
    (said,) = re.findall(r"# … (EQ401 .*?)\. …", example)
    assert said in capsys.readouterr().out


@pytest.mark.tensorflow
def test_a_real_spec_fails_as_is_shown(pytester, monkeypatch):
    """End to end: the spec of README.md's first report, as a test. Line by line, all that rounding cannot change."""
    monkeypatch.setenv("EQUIVCHECK_CACHE", str(pytester.path / "cache"))
    for name in ("digits", "backbones"):
        (pytester.path / name).symlink_to(ROOT / "fixtures" / name)
    folder = pytester.mkdir("combined")
    text = (ROOT / "fixtures" / "combined" / "spec.yaml").read_text(encoding="utf-8")
    (folder / "combined.equiv.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    command, *shown = block("console", "pytest combined").splitlines()
    assert command == "$ pytest combined.equiv.yaml -k EQ401"
    arguments = [*shlex.split(command)[2:-2], "--equivcheck-no-replay", "-p", "no:cacheprovider", "--rootdir", folder]
    result = pytester.runpytest_subprocess(*arguments)
    failed = {line.partition("::")[2].partition("-")[0] for line in result.outlines if line.startswith("FAILED")}
    assert failed == {"EQ104", "EQ401", "EQ402"}
    result.assert_outcomes(**{**result.parseoutcomes(), "failed": 3})
    assert result.parseoutcomes().get("warnings", 0) == 0
    start = result.outlines.index(shown[0])
    printed = result.outlines[start : start + len(shown)]
    for line, real in zip(shown, printed, strict=True):
        same = line.split("…")[0] if "…" in line else re.split(r"\d", line)[0]
        assert real.startswith(same), (line, real)
