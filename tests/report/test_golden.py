"""One fixed report in every format, as files that people look at in `reports/`, byte for byte.

To write them anew: ``EQUIVCHECK_WRITE_GOLDEN=1 pytest tests/report/test_golden.py``, then look at the difference.
"""

from __future__ import annotations

import importlib.util
import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from equivcheck.report.formats import SUFFIXES, format_of, render
from equivcheck.report.terminal import print_report

FOLDER = Path(__file__).parents[2] / "reports"
FILES = ("sample.json", "sample.html", "sample.md", "sample.xml", "sample.sarif", "sample.txt", "sample-80-ascii.txt")
PICTURE = "sample.svg"


@pytest.fixture
def sample(report):
    """The fixed report, with logs that the user already had."""
    metrics = {"bottleneck": [0.75, None, 1.0, 1.0], "frozen": [0.6667, 0.5, 0.3333, 0.5]}
    observed = {
        arm: {
            "source": f"logs/{arm}.log",
            "format": "console",
            "epochs": [1, 2, 3, 4],
            "metrics": {"val_accuracy": values, "val_loss": [0.4, 0.3, 0.2, 0.1]},
            "steps": [16],
            "seconds": [12.0, 11.0, 11.0, None],
            "planned_epochs": 50,
            "training_samples": 16,
            "validation_samples": 8,
            "smallest_possible_validation_samples": 6 if arm == "frozen" else 4,
            "period_epochs": None,
        }
        for arm, values in metrics.items()
    }
    return replace(report, observed=observed)


def drawn(report):
    """By ``picture.py`` beside this file; tests are no package."""
    spec = importlib.util.spec_from_file_location("picture", Path(__file__).with_name("picture.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.picture(report)


def shown(report, name):
    if name == PICTURE:
        return drawn(report)
    if format_of(name) is not None:
        return render(report, format_of(name))
    raw = io.BytesIO()
    width, encoding = (80, "ascii") if "80" in name else (120, "utf-8")
    file = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    print_report(report, Console(file=file, width=width, color_system=None))
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("name", [*FILES, PICTURE])
def test_the_golden_report_is_fresh(sample, name, monkeypatch):
    # Both would change what a console writes.
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    text = shown(sample, name).encode()
    if os.environ.get("EQUIVCHECK_WRITE_GOLDEN"):
        (FOLDER / name).write_bytes(text)
    fresh = text == (FOLDER / name).read_bytes()
    assert fresh, f"reports/{name} is stale; the docstring of this file says how to write it anew"


def test_every_format_has_a_golden_report():
    assert {format_of(name) for name in FILES} == {*SUFFIXES.values(), None}
