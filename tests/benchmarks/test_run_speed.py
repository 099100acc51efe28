"""The benchmark itself: what it computes and when it fails. Its figures need an idle machine and are taken by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def loaded(monkeypatch, name):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def speed(monkeypatch):
    return loaded(monkeypatch, "run_speed")


def clock(module, combined=12.0, alone=10.0, load=2.0, helps=0.1, explain=0.2):
    """A timer that runs nothing."""
    took = {"--no-replay": alone, "run": combined, "-c": load, "--help": helps, "explain": explain}
    return lambda arguments, _expected: next(value for word, value in took.items() if word in arguments)


def test_the_ratio_is_of_medians_and_the_sides_take_turns(speed):
    order, checks, imports = [], iter([9.0, 8.0, 100.0]), iter([1.0, 3.0, 2.0])

    def timer(arguments, _expected):
        order.append(arguments)
        return next(checks) if arguments == speed.COMBINED else next(imports) if arguments == speed.IMPORT else 0.1

    ratio = speed.measure(timer)[0]
    assert ratio.value == 9.0 / 2.0
    assert order[:9] == [speed.COMBINED, speed.WITHOUT_REPLAYS, speed.IMPORT] * 3
    assert ratio.detail == "9.00, 8.00, 100.00 s / 1.00, 3.00, 2.00 s"


@pytest.mark.parametrize(
    ("slow", "code"),
    [({}, 0), ({"combined": 12.1}, 1), ({"alone": 10.1}, 1), ({"helps": 0.41}, 1), ({"explain": 0.41}, 1)],
)
def test_a_missed_bound_is_the_exit_code_and_is_shown(speed, capsys, slow, code):
    assert speed.main([], clock(speed, **slow)) == code
    shown = capsys.readouterr().out
    assert shown.count("MISSED") == code
    assert "tensorflow 2" in shown.splitlines()[0]


def test_nothing_is_written_unless_asked_for(speed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(speed, "ROOT", tmp_path)
    speed.main([], clock(speed))
    assert list(tmp_path.iterdir()) == []
    speed.main(["--write"], clock(speed))
    written = (tmp_path / "reports/benchmarks.md").read_text(encoding="utf-8")
    assert "| -m" not in written
    assert "| equivcheck --help | 0.10 s | 0.4 s | kept |" in written


def test_a_section_replaces_its_older_self_and_no_other(speed, tmp_path, monkeypatch, capsys):
    file = tmp_path / "reports/benchmarks.md"
    file.parent.mkdir()
    file.write_text(f"# Benchmarks\n\n## {speed.TITLE}\n\nold\n\n## Another\n\nkept\n", encoding="utf-8")
    monkeypatch.setattr(speed, "ROOT", tmp_path)
    speed.main(["--write"], clock(speed))
    written = file.read_text(encoding="utf-8")
    assert "old" not in written
    assert written.startswith(f"# Benchmarks\n\n## {speed.TITLE}\n\nMedian")
    assert written.endswith("\n\n## Another\n\nkept\n")


def test_a_process_is_timed_and_must_end_as_expected(speed):
    assert speed.seconds(["-c", "import time; time.sleep(0.05)"], 0) > 0.05
    with pytest.raises(SystemExit, match="left with 3, not 0"):
        speed.seconds(["-c", "raise SystemExit(3)"], 0)


def test_the_quick_commands_run(speed):
    for arguments in (speed.HELP, speed.EXPLAIN):
        assert speed.seconds(arguments, 0) > 0


def test_small_cases_take_turns_with_imports_and_leave_the_rows_of_others(monkeypatch, tmp_path, capsys):
    small = loaded(monkeypatch, "small_speed")
    monkeypatch.setattr(small, "ROOT", tmp_path)
    checks, imports, order = iter([30.0, 10.0]), iter([1.0, 2.0, 9.0]), []

    def timer(arguments, expected):
        order.append(expected)
        return next(checks) if expected else next(imports)

    assert small.main(["--cases", "flowers17", "--write"], timer) == 0
    assert order == [0, 1, 0, 1, 0]
    assert small.main(["--cases", "vgg16_xray", "--write"], lambda _arguments, expected: 21.0 if expected else 2.0) == 1
    written = (tmp_path / "reports/benchmarks.md").read_text(encoding="utf-8").replace(small.TIMES, "x")
    assert "flowers17: run / import tensorflow, keras | 10.00 x | 10 x | kept | 30, 10 s / 1.0, 2.0, 9.0 s" in written
    assert "vgg16_xray: run / import tensorflow, keras | 10.50 x | 10 x | MISSED" in written
    assert capsys.readouterr().out.count("MISSED") == 1
