"""Finds the checks: every module of ``checks/`` holds one, so the folder listing is the catalogue."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from equivcheck import checks
from equivcheck.check import Check


@cache
def all_checks() -> tuple[Check, ...]:
    """One instance of every check, in the order of their codes."""
    found: list[Check] = []
    for module in pkgutil.iter_modules(checks.__path__):
        loaded = importlib.import_module(f"{checks.__name__}.{module.name}")
        found += [value() for value in vars(loaded).values() if _is_check_of(value, loaded.__name__)]
    return tuple(sorted(found, key=lambda check: check.code))


def names() -> dict[str, str]:
    """Code -> name of every check, read off the file names; nothing is imported."""
    files = (module.name.partition("_") for module in pkgutil.iter_modules(checks.__path__))
    return {code.upper(): rest.replace("_", "-") for code, _, rest in sorted(files)}


def check_of(code: str) -> Check:
    """The check of a code. Only its own module is imported: its page must not wait for all the others.

    Raises:
        KeyError: There is no such check.
    """
    name = names()[code]
    loaded = importlib.import_module(f"{checks.__name__}.{code.lower()}_{name.replace('-', '_')}")
    check: Check = next(value() for value in vars(loaded).values() if _is_check_of(value, loaded.__name__))
    return check


def _is_check_of(value: object, module: str) -> bool:
    return isinstance(value, type) and issubclass(value, Check) and value.__module__ == module


def matches(code: str, patterns: tuple[str, ...]) -> bool:
    """Whether a code is one of the patterns or starts with one (``EQ4`` stands for all of the four hundreds)."""
    return any(code.startswith(pattern.upper()) for pattern in patterns)
