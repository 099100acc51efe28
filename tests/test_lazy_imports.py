"""What a door imports. Only ``run`` may take the seconds that TensorFlow takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"tensorflow", "keras", "pandas"}
SPEC = """\
version: 1
bottleneck: {callable: "json:loads"}
frozen: {callable: "json:loads"}
"""
LOGS = "version: 1\nobserved: {frozen: frozen.csv}\n"

#: Runs a statement, then prints the top-level modules that are loaded.
_PROBE = """
import json, sys
try:
    {statement}
except SystemExit as leaving:
    assert not leaving.code, leaving.code
finally:
    print("\\n" + json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def imported_by(statement: str, folder: Path) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", _PROBE.format(statement=statement)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


def command(*arguments: str) -> str:
    return f"from equivcheck.cli import cli; cli({list(arguments)!r})"


@pytest.mark.parametrize(
    "statement",
    [
        "import equivcheck",
        "import equivcheck.spec",
        command("--help"),
        command("--version"),
        command("run", "--help"),
        command("validate", "spec.yaml"),
        command("explain", "EQ401"),
        command("checks"),
        command("schema", "spec"),
        command("schema", "report"),
        command("init", "-"),
        command("init", "new.yaml"),
        command("validate", "logs.yaml"),
        "from equivcheck.pipeline import run; run('logs.yaml')",
    ],
)
def test_doors_import_nothing_heavy(statement, tmp_path):
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "logs.yaml").write_text(LOGS, encoding="utf-8")
    (tmp_path / "frozen.csv").write_text("epoch,loss\n0,0.5\n", encoding="utf-8")
    assert not HEAVY & imported_by(statement, tmp_path)


@pytest.mark.parametrize("statement", [command("--help"), command("explain", "EQ401"), command("checks")])
def test_the_quick_commands_do_without_the_spec_and_without_rich(statement, tmp_path):
    assert not {"pydantic", "ruamel", "rich", "jinja2"} & imported_by(statement, tmp_path)


def test_help_does_without_numpy(tmp_path):
    assert "numpy" not in imported_by(command("--help"), tmp_path)


def test_this_test_can_fail(tmp_path):
    """The probe does see a heavy import where there is one."""
    assert "pandas" in imported_by("import pandas", tmp_path)
