"""The repository itself: what lies where, and that its papers agree with each other."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

import equivcheck

ROOT = Path(__file__).parents[1]
ALLOWED = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "equivcheck", "tests", "fixtures", "reports"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

#: What git does not keep, folders with their slash taken off.
IGNORED = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").split()] + [".git"]

#: Written in two parts, because this file is searched too.
FORBIDDEN = [
    one + other
    for one, other in [
        ("/wo", "rk/"),
        ("/tm", "p/"),
        ("py", "pi.org"),
        ("python", "hosted.org"),
        ("ana", "conda.org"),
        ("index", "-url"),
    ]
]


def kept(name):
    return not any(fnmatch(name, pattern) for pattern in IGNORED)


def files():
    """Every file that a clone has."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if kept(name)]
        yield from (Path(folder) / name for name in names if kept(name))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_root_holds_only_what_it_may():
    names = {path.name for path in ROOT.iterdir() if kept(path.name) and not path.name.startswith(".")}
    assert names <= ALLOWED, f"not allowed in the root: {sorted(names - ALLOWED)}"
    assert ALLOWED - {"reports"} <= names


def test_no_file_mentions_a_folder_of_one_machine_or_a_package_registry():
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in files()
        for content in [path.read_bytes()]
        for word in FORBIDDEN
        if word.encode() in content
    ]
    assert found == []


def test_ci_runs_exactly_the_readme_s_test_command():
    [_, command] = re.search(r"```bash\n(.*?)```", text("README.md"), re.DOTALL)[1].splitlines()
    script = [line for line in text(".ci/run").splitlines() if line and not line.startswith("#")]
    assert script == ["set -euo pipefail", 'cd "$(dirname "${BASH_SOURCE[0]}")/.."', command]


def test_ci_can_be_started_and_is_bash():
    script = ROOT / ".ci/run"
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("failing", [None, "python3", "pip", "pytest"])
def test_ci_passes_on_what_fails(tmp_path, existing, failing):
    """In any folder, with or without an environment, the script fails if and only if one of its three steps does."""
    clone, path = tmp_path / "a clone", tmp_path / "path"
    (clone / ".ci").mkdir(parents=True)
    path.mkdir()
    (clone / ".ci/run").write_text(text(".ci/run"), encoding="utf-8")

    def program(name, also="true"):
        code = int(name == failing)
        return f'#!/usr/bin/env bash\necho "{name} $*" >> {tmp_path}/log\n{also}\nexit {code}\n'

    tools = {name: tmp_path / f"stub-{name}" for name in ("pip", "pytest")}
    for name, stub in tools.items():
        stub.write_text(program(name), encoding="utf-8")
        stub.chmod(0o755)
    copies = "; ".join(f'cp "{stub}" .venv/bin/{name}' for name, stub in tools.items())
    (path / "python3").write_text(program("python3", f"mkdir -p .venv/bin; {copies}"), encoding="utf-8")
    (path / "python3").chmod(0o755)
    if existing:
        (clone / ".venv/bin").mkdir(parents=True)
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        ["bash", clone / ".ci/run"], cwd=tmp_path, env=environment, check=False, capture_output=True, text=True
    )
    assert (result.returncode != 0) == (failing is not None), result.stderr
    steps = ["python3 -m venv .venv", "pip install -e .[test]", "pytest "]
    last = len(steps) if failing is None else ["python3", "pip", "pytest"].index(failing) + 1
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines() == steps[:last]


def test_hooks_run_the_tools_of_the_tests_and_nothing_from_elsewhere():
    """Read as text: a YAML reader is not among what tests install."""
    hooks = text(".pre-commit-config.yaml")
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    assert re.findall(r"entry: (.+)", hooks) == ["ruff check --fix", "ruff format", "mypy", "lint-imports"]
    assert hooks.count("language: system") == hooks.count("- id:")


def test_slow_and_network_tests_are_not_run_unless_asked_for():
    options = PROJECT["tool"]["pytest"]["ini_options"]
    assert "-m 'not slow and not network'" in options["addopts"]
    assert {"slow", "network"} < {marker.partition(":")[0] for marker in options["markers"]}


def test_the_version_is_the_same_everywhere():
    version = equivcheck.__version__
    assert PROJECT["project"]["version"] == version
    first = re.search(r"^## \[(\d\S*)\] - \d{4}-\d\d-\d\d$", text("CHANGELOG.md"), re.MULTILINE)
    assert first[1] == version


def test_the_changelog_has_only_headings_of_its_format():
    headings = re.findall(r"^### (.+)$", text("CHANGELOG.md"), re.MULTILINE)
    assert headings
    assert set(headings) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_licence_is_the_declared_one():
    assert PROJECT["project"]["license"] == "MIT"
    assert text("LICENSE").startswith("MIT License\n\nCopyright (c) 2026 The equivcheck developers\n")


def test_the_readme_opens_with_one_sentence_and_then_the_two_commands():
    title, sentence, *_ = text("README.md").split("\n\n")
    assert title == "# equivcheck"
    assert re.fullmatch(r"[^.]+\.", sentence), "one sentence"


def listed_modules():
    """The paths of the tree that ARCHITECTURE.md draws, two spaces a level, and what it says of each."""
    tree = re.search(r"```text\nequivcheck/\n(.*?)```", text("equivcheck/ARCHITECTURE.md"), re.DOTALL)[1]
    above, found = {}, {}
    for line in tree.splitlines():
        indent, name, what = re.fullmatch(r"( +)(\S+) +(\S.*)", line).groups()
        depth = len(indent) // 2
        above[depth] = name
        found["".join(above[level] for level in range(1, depth + 1))] = what
    return found


def test_the_architecture_lists_every_module_and_no_other():
    """Checks are listed by the catalogue; what a folder's ``__init__.py`` does is said at the folder."""
    package = ROOT / "equivcheck"
    modules = {path.relative_to(package) for path in files() if path.is_relative_to(package) and path.suffix == ".py"}
    modules = {path for path in modules if path.name != "__init__.py" and path.parent.name != "checks"}
    folders = {
        f"{path.relative_to(package).as_posix()}/" for path in package.rglob("*") if (path / "__init__.py").exists()
    }
    data = {
        "py.typed",
        "spec/template.yaml",
        "spec/spec.schema.json",
        "report/report.schema.json",
        "report/html/templates/",
    }
    assert set(listed_modules()) - data == {path.as_posix() for path in modules} | folders | {"__init__.py"}


def test_the_architecture_names_every_import_contract():
    contracts = {contract["id"] for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    assert {name for name in contracts if f"`{name}`" not in text("equivcheck/ARCHITECTURE.md")} == set()
