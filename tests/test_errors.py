"""The exception tree and how a problem of a spec reads."""

from __future__ import annotations

import pytest

from equivcheck.errors import (
    EquivcheckError,
    InconclusiveError,
    InputError,
    Problem,
    SpecError,
    UserCodeError,
)
from equivcheck.location import Location


@pytest.mark.parametrize(
    ("kind", "code"), [(InputError, 2), (UserCodeError, 3), (InconclusiveError, 3), (EquivcheckError, 3)]
)
def test_every_error_has_its_exit_code(kind, code):
    assert issubclass(kind, EquivcheckError)
    assert kind("why").exit_code == code


def test_a_spec_error_is_bad_input_and_says_all_its_problems():
    problems = [Problem("a", "is wrong"), Problem("b", "is missing")]
    error = SpecError(problems)
    assert isinstance(error, InputError)
    assert (error.exit_code, error.problems) == (2, tuple(problems))
    assert str(error) == "a: is wrong\nb: is missing"


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("", "is empty"), "is empty"),
        (Problem("key", "is wrong", allowed=("a", "b")), "key: is wrong; allowed: a, b"),
        (
            Problem("key", "is 'x'", Location("s.yaml", 2, 6), ("y",), "y", "key: x"),
            "s.yaml:2:6: key: is 'x'; allowed: y; did you mean \"y\"?\n    key: x\n         ^",
        ),
        (Problem("key", "is wrong", Location("s.yaml", 2), source="key: x"), "s.yaml:2: key: is wrong"),
    ],
)
def test_a_problem_reads(problem, text):
    assert str(problem) == text


@pytest.mark.parametrize(
    ("location", "text"),
    [
        (Location(), ""),
        (Location("s.yaml", 2, 6), "s.yaml:2:6"),
        (Location(layer="a/b"), "a/b"),
        (Location("s.yaml", 2, layer="a/b"), "s.yaml:2 (a/b)"),
    ],
)
def test_a_location_reads(location, text):
    assert str(location) == text
