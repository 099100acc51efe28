"""The catalogue in ``reports/checks.md``, and the code that every page shows: it must run."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from equivcheck.catalog import all_checks
from equivcheck.cli import cli

CHECKS = all_checks()
REPORTS = Path(__file__).parents[1] / "reports"

#: What stands before every snippet: the imports, a seed, and two compiled models that order and labels are shown on.
PRELUDE = """\
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(0)
head = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
end_to_end = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
for model in (head, end_to_end):
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
"""

_PAGE = (REPORTS / "checks.md").read_text(encoding="utf-8")


def test_the_catalogue_is_fresh():
    """Else: ``python -m equivcheck checks --output-format markdown > reports/checks.md``."""
    result = CliRunner().invoke(cli, ["checks", "--output-format", "markdown"])
    assert result.exit_code == 0
    assert result.stdout == _PAGE


def test_every_check_has_its_page_and_its_link():
    headings = re.findall(r"^## (.+)$", _PAGE, re.MULTILINE)
    assert headings == [f"{check.code} {check.name}" for check in CHECKS]
    links = re.findall(r"^\| \[EQ\d+\]\(#(.+?)\) \|", _PAGE, re.MULTILINE)
    assert links == [heading.lower().replace(" ", "-") for heading in headings]


def test_each_page_says_all_there_is_to_say():
    sections = re.findall(r"^### (.+)$", _PAGE, re.MULTILINE)
    assert len(set(sections)) == 8
    assert len(sections) == 8 * len(CHECKS)


@pytest.mark.tensorflow
@pytest.mark.parametrize("snippet", ["shows", "clean"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_the_code_that_a_page_shows_runs(tensorflow, check, snippet, tmp_path, monkeypatch):
    """By itself: nothing but the usual imports stands before it, and files it writes go nowhere."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "snippet"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of them show what Keras warns of
        exec(compile(PRELUDE + getattr(check, snippet), f"{check.code}.{snippet}", "exec"), names)  # noqa: S102


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_the_code_in_an_advice_is_python(check):
    """What stands between backticks is an expression, a statement or a plain word."""
    for code in re.findall(r"`([^`]+)`", check.advice):
        compile(code, f"{check.code}.advice", "exec")
