"""ARCHITECTURE.md's check in five minutes, followed to the letter in a copy of the repository."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "equivcheck" / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("### A check in five minutes")[2]


def block(language):
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return text


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The repository with steps 1 and 2 done."""
    clone = tmp_path_factory.mktemp("clone")
    for name in ("equivcheck", "tests", "fixtures"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, clone)
    file = re.search(r"Write `(equivcheck/checks/\S+\.py)`", PAGE).group(1)
    assert not (clone / file).exists()
    (clone / file).write_text(block("python"), encoding="utf-8")
    row = block("text")
    code = row.split()[1]
    readme = (clone / "README.md").read_text(encoding="utf-8")
    after = next(line for line in readme.splitlines() if re.match(r"\| EQ\d+ \|", line) and line.split()[1] > code)
    (clone / "README.md").write_text(readme.replace(after, row + after, 1), encoding="utf-8")
    return clone


@pytest.mark.tensorflow
def test_the_new_check_passes_the_tests_that_are_made_from_it(copy):
    for line in block("sh").splitlines():
        program, *arguments = shlex.split(line)
        assert program == "pytest"
        result = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(copy), os.environ.get("PYTHONPATH", "")])},
            check=False,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert re.search(r"\b\d+ passed", result.stdout)


@pytest.mark.parametrize("tool", [["ruff", "check"], ["ruff", "format", "--check"]])
def test_the_new_check_is_written_like_the_others(copy, tool):
    files = sorted((copy / "equivcheck" / "checks").glob("eq1*.py"))
    command = [Path(sys.executable).parent / tool[0], *tool[1:], "--no-cache", *files]
    result = subprocess.run(command, cwd=copy, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
