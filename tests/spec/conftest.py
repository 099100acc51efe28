"""A small valid spec, and ways to write and load variants of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from equivcheck.errors import SpecError
from equivcheck.spec import Document, Experiment, load, resolve

VALID = """\
version: 1
name: tiny
data:
  train: {directory: images/train}
  validation: {directory: images/validation}
  image_size: [8, 9]
backbone:
  application: VGG16
  weights: none
head:
  - flatten
  - dense: {units: 2, activation: softmax}
preprocessing: {rescale: 0.5, offset: -1}
training:
  optimizer: {name: sgd, learning_rate: 0.1}
  loss: categorical_crossentropy
labels: one_hot
"""


@pytest.fixture
def valid() -> str:
    return VALID


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes ``spec.yaml`` into the working directory, so that messages show that name and nothing of the machine."""
    monkeypatch.chdir(tmp_path)

    def write_text(text: str) -> Path:
        Path("spec.yaml").write_text(text, encoding="utf-8")
        return Path("spec.yaml")

    return write_text


@pytest.fixture
def document(write) -> Callable[[str], Document]:
    return lambda text: load(write(text))


@pytest.fixture
def experiment(write) -> Callable[[str], Experiment]:
    return lambda text: resolve(load(write(text)))


@pytest.fixture
def problems(write) -> Callable[[str], list[str]]:
    """The first line of each problem of a spec, without what is allowed: ``3:5 key: message``."""

    def of(text: str) -> list[str]:
        with pytest.raises(SpecError) as raised:
            load(write(text))
        return [
            f"{problem.location.line}:{problem.location.column} {problem.key}: {problem.message}"
            + (f" -> {problem.suggestion}" if problem.suggestion else "")
            for problem in raised.value.problems
        ]

    return of
