"""Calls functions that the user named as ``module:function``. Nothing else from a spec is ever executed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from equivcheck.arms.said import described
from equivcheck.errors import EquivcheckError, InputError, UserCodeError


def load_user_function(name: str, *, folder: Path) -> Any:
    """Imports what ``module:function`` names.

    Args:
        name: ``package.module:function``.
        folder: Folder of the spec; the module may lie there or anywhere on the Python path.

    Raises:
        InputError: There is no such module or function.
        UserCodeError: The module raised while it was imported.
    """
    module_name, _, function_name = name.partition(":")
    with _importable_from(folder):
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
                raise InputError(f"{name}: no module {module_name!r} in {folder} or on the Python path") from None
            raise UserCodeError(f"{name}: importing {module_name} raised {described(error)}") from error
        except (Exception, SystemExit) as error:
            raise UserCodeError(f"{name}: importing {module_name} raised {described(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        where = getattr(module, "__file__", None) or module_name
        raise InputError(f"{name}: {where} has no function {function_name!r}")
    return function


def call_user_function(name: str, *arguments: Any, folder: Path) -> Any:
    """Calls what ``module:function`` names; an exception it raises becomes a ``UserCodeError`` that names it."""
    function = load_user_function(name, folder=folder)
    with user_code(name), _importable_from(folder):
        return function(*arguments)


@contextmanager
def user_code(name: str | None, doing: str = "") -> Iterator[None]:
    """Turns whatever the user's code raises inside into one error that names the callable and the user's line.

    ``sys.exit(0)`` as well, which would else end the run as "equivalent".

    Args:
        name: ``module:function`` that made what runs inside; None where nothing of it is the user's.
        doing: What runs, such as ``fit of the frozen arm``, where it is not the function itself.
    """
    try:
        yield
    except EquivcheckError:
        raise
    except (Exception, SystemExit) as error:
        if name is None:
            raise
        what = f"{name}: {doing}" if doing else name
        raise UserCodeError(f"{what} raised {described(error)}") from error


def user_modules(name: str) -> list[ModuleType]:
    """The module of ``module:function``, once it was loaded, and those beside the spec that it imported."""
    return [sys.modules[module] for module in {name.partition(":")[0]: None, **_HOMES} if module in sys.modules]


#: The folder that each module beside a spec came from: the next spec may have a train.py of its own.
_HOMES: dict[str, Path] = {}


@contextmanager
def _importable_from(folder: Path) -> Iterator[None]:
    for name in [name for name, home in _HOMES.items() if home != folder]:
        del _HOMES[name]
        sys.modules.pop(name, None)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's code may have changed the path itself
            sys.path.remove(str(folder))
        _HOMES.update((name, folder) for name in set(sys.modules) - before if _lies_in(folder, name))


def _lies_in(folder: Path, module: str) -> bool:
    """Whether a module is the user's own; libraries installed below the folder are not, nor are we."""
    file = Path(getattr(sys.modules[module], "__file__", None) or "/")
    return file.is_relative_to(folder) and "site-packages" not in file.parts and not module.startswith("equivcheck")
