"""Linters, types and import contracts are part of the test run: there is no second thing to remember."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports", "--no-logo"]],
    ids=["ruff-check", "ruff-format", "mypy", "lint-imports"],
)
def test_static(command):
    """Each tool comes from the environment that runs the tests, whatever else is on the path."""
    tool = Path(sysconfig.get_path("scripts")) / command[0]
    result = subprocess.run([tool, *command[1:]], cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}{result.stderr}"
