"""The folder of checks is the catalogue."""

from __future__ import annotations

import ast
import importlib
import pkgutil

import pytest

from equivcheck import checks
from equivcheck.catalog import all_checks, check_of, matches, names
from equivcheck.check import Check, Fault

MODULES = [module.name for module in pkgutil.iter_modules(checks.__path__)]
CHECKS = all_checks()

#: What a check may import: evidence, findings and arithmetic on arrays. No Keras, no disk, no clock, no rich.
ALLOWED = {
    "__future__",
    "collections",
    "dataclasses",
    "itertools",
    "math",
    "numpy",
    "equivcheck.check",
    "equivcheck.diff",
    "equivcheck.evidence",
    "equivcheck.findings",
    "equivcheck.measured",
    "typing",
}


def test_every_file_is_a_check_and_every_check_has_a_file():
    assert len(CHECKS) == len(MODULES) > 0
    assert [f"{check.code.lower()}_{check.name.replace('-', '_')}" for check in CHECKS] == sorted(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_file_holds_one_class(module):
    loaded = importlib.import_module(f"equivcheck.checks.{module}")
    classes = [
        value
        for value in vars(loaded).values()
        if isinstance(value, type) and issubclass(value, Check) and value.__module__ == loaded.__name__
    ]
    assert len(classes) == 1


@pytest.mark.parametrize("module", MODULES)
def test_a_check_sees_evidence_only(module):
    loaded = importlib.import_module(f"equivcheck.checks.{module}")
    with open(loaded.__file__, encoding="utf-8") as file:  # noqa: PTH123  (a module's own path)
        tree = ast.parse(file.read())
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    strangers = {name for name in imported if not any(name == ok or name.startswith(f"{ok}.") for ok in ALLOWED)}
    assert strangers == set()


def test_codes_and_names_are_unique_and_sorted():
    codes = [check.code for check in CHECKS]
    assert codes == sorted(set(codes))
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_the_catalogue_is_made_once():
    assert all_checks() is CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_what_a_check_requires_exists(check):
    assert set(check.requires) <= {other.code for other in CHECKS} - {check.code}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_what_a_check_says_of_itself(check):
    assert isinstance(check.fault, Fault)
    assert check.fault.patch
    assert set(check.fault.also) <= {other.code for other in CHECKS} - {check.code}
    assert "\n" not in check.title
    assert not check.title.endswith(".")
    for code in (check.shows, check.clean):
        ast.parse(code)
    for text in (check.what, check.why, check.measured, check.mistaken_for, check.advice):
        assert text == text.strip()
        assert text.endswith(".")


def test_requirements_have_no_cycle():
    requires = {check.code: set(check.requires) for check in CHECKS}
    while free := {code for code, needed in requires.items() if not needed & requires.keys()}:
        for code in free:
            del requires[code]
    assert requires == {}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("EQ401",), True),
        (("EQ4",), True),
        (("eq40",), True),
        (("EQ",), True),
        (("EQ5", "EQ401"), True),
        (("EQ402",), False),
        (("Q401",), False),
        (("EQ4011",), False),
        ((), False),
    ],
)
def test_codes_match_by_prefix(patterns, expected):
    assert matches("EQ401", patterns) is expected


def test_names_are_read_off_the_files():
    assert list(names().items()) == [(check.code, check.name) for check in CHECKS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_one_check_is_found_alone(check):
    assert type(check_of(check.code)) is type(check)
