"""Runs that are killed, and runs side by side, on one cache: the report is that of a run that was left alone."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

KILLS = 20
#: Dropout that is on in the backbone, and an order that differs: two causes, so four counterfactuals with five seeds.
BROKEN = {"backbone.cut": "dropout", "frozen.training.shuffle": False, "training.epochs": 4}


@pytest.fixture(scope="module")
def start(tiny):
    """Starts a run with a cache folder, in a process of its own."""
    from equivcheck.spec.rewrite import rewritten

    spec = tiny.folder / "killed.yaml"
    spec.write_text(rewritten(tiny, BROKEN), encoding="utf-8")

    def run(cache: Path, report: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "equivcheck", "run", str(spec), "--output-format", "json", "-o", str(report)]
        environment = {**os.environ, "EQUIVCHECK_CACHE": str(cache)}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    return run


def told(report):
    """All that a report says, but for how long it took."""
    content = json.loads(report.read_text(encoding="utf-8"))
    assert content.pop("seconds")
    return content


@pytest.fixture(scope="module")
def alone(start, tmp_path_factory):
    """What an undisturbed run tells, and its seconds."""
    folder = tmp_path_factory.mktemp("alone")
    began = time.perf_counter()
    assert start(folder / "cache", folder / "report.json").wait() == 1
    took = time.perf_counter() - began
    report = told(folder / "report.json")
    assert len(report["attribution"]["shares"]) == 2
    return report, took


def test_a_run_that_was_killed_again_and_again_tells_the_same(start, alone, tmp_path):
    expected, whole = alone
    seed = int(os.environ.get("EQUIVCHECK_KILL_SEED", secrets.randbits(32)))
    sys.stdout.write(f"EQUIVCHECK_KILL_SEED={seed}\n")  # shown if it fails
    chance = np.random.default_rng(seed)
    cache, report, kills, finished = tmp_path / "cache", tmp_path / "report.json", 0, 0
    while kills < KILLS:
        process = start(cache, report)
        try:
            code = process.wait(chance.uniform(0, whole))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            kills += 1
            continue
        assert code == 1
        assert told(report) == expected
        finished += 1
        report.unlink()
        for file in cache.iterdir():  # so that there is something to be interrupted at again
            file.unlink()
    sys.stdout.write(f"killed {kills} times, finished {finished} times in between\n")
    assert start(cache, report).wait() == 1
    assert told(report) == expected


def test_two_runs_at_once_on_one_cache_tell_the_same(start, alone, tmp_path):
    expected, _ = alone
    reports = [tmp_path / "one.json", tmp_path / "two.json"]
    for process in [start(tmp_path / "cache", report) for report in reports]:
        assert process.wait() == 1
    assert [told(report) for report in reports] == [expected, expected]
    assert not list((tmp_path / "cache").glob("*.tmp"))
