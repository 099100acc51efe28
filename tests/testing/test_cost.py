"""What a test run pays that has nothing to do with equivcheck."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

#: None of these may be loaded by an unrelated run, nor by one that only lists the tests of other files.
HEAVY = {"tensorflow", "keras", "numpy", "pandas", "pydantic", "rich", "ruamel", "click", "PIL"}

#: Most milliseconds that the plugin may take in an unrelated run.
MOST = 20.0

PROBE = """
import sys, json

def pytest_unconfigure():
    with open("loaded.json", "w") as file:
        json.dump(sorted(sys.modules), file)
"""

#: Times what pytest does with the plugin where there is no spec: import, registration, options, a call per file.
STOPWATCH = """
import time, pathlib, pytest
start = time.perf_counter()
import equivcheck.pytest_plugin as plugin
done = time.perf_counter() - start

class Timed:
    def pytest_cmdline_main(self, config):
        global done
        start = time.perf_counter()
        plugin.pytest_configure(config)
        parent = type("Parent", (), {"config": config})
        for number in range(200):
            plugin.pytest_collect_file(pathlib.Path(f"tests/test_{number}.py"), parent)
        print("milliseconds", 1000 * (done + time.perf_counter() - start))
        return 0

pytest.main(["-q"], plugins=[Timed()])
"""


def loaded(pytester, *arguments):
    result = pytester.runpytest_subprocess(*arguments)
    names = json.loads((pytester.path / "loaded.json").read_text(encoding="utf-8"))
    return result, names


def test_the_plugin_is_installed():
    (found,) = {each.value for each in entry_points(group="pytest11") if each.name == "equivcheck"}
    assert found == "equivcheck.pytest_plugin"


@pytest.mark.parametrize("arguments", [(), ("--collect-only",), ("--markers",), ("--fixtures",)])
def test_an_unrelated_run_imports_nothing_heavy(pytester, arguments):
    pytester.makeconftest(PROBE)
    pytester.makepyfile("def test_one(): pass")
    result, names = loaded(pytester, *arguments)
    assert result.ret == 0
    assert "equivcheck.pytest_plugin" in names
    assert not HEAVY & {name.partition(".")[0] for name in names}
    assert [name for name in names if name.startswith("equivcheck.")] == ["equivcheck.pytest_plugin"]


def test_the_probe_can_fail(pytester):
    pytester.makeconftest(PROBE)
    pytester.makepyfile("def test_one(): import numpy")
    assert "numpy" in loaded(pytester)[1]


def test_listing_specs_never_loads_tensorflow(project):
    project.spec()
    (project.path / "conftest.py").write_text(PROBE, encoding="utf-8")
    result, names = loaded(project.pytester, "--collect-only")
    assert result.ret == 0
    assert not {"tensorflow", "keras", "pandas", "rich"} & {name.partition(".")[0] for name in names}


def test_an_unrelated_run_pays_little(tmp_path):
    """The least of several runs is what the plugin takes; the rest is what else the machine does."""
    times = []
    for _ in range(5):
        run = [sys.executable, "-c", STOPWATCH]
        result = subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True)
        times += [float(line.split()[1]) for line in result.stdout.splitlines() if line.startswith("milliseconds")]
    assert len(times) == 5
    assert min(times) < MOST, statistics.median(times)
