"""Whether the files and folders that a spec names are there. Nothing is imported or executed to find out."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from equivcheck.errors import Problem
from equivcheck.findings import ArmName
from equivcheck.spec.document import in_order
from equivcheck.spec.experiment import Experiment, Recording
from equivcheck.spec.model import ArmSpec, CodeArm, Preprocessing, Source

#: Suffixes, in lower case, of the files that are read as images.
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"})

_MOST_NAMED = 5


def check_paths(experiment: Experiment | Recording) -> list[Problem]:
    """Everything that is missing, empty or unreadable; each thing once, however many arms use it."""
    found: dict[tuple[str, str], Problem] = {}
    arms: tuple[ArmName, ...] = ("bottleneck", "frozen")
    if isinstance(experiment, Experiment):
        for arm in arms:
            for key, message in _of_arm(getattr(experiment, arm), experiment.document.folder):
                problem = experiment.document.problem(experiment.origin(arm, key), message)
                found.setdefault((problem.key, problem.message), problem)
    for arm, paths in experiment.observed.files.items() if experiment.observed is not None else ():
        for message in (said for path in paths for said in _file(path)):
            problem = experiment.document.problem(f"observed.{arm}", message)
            found.setdefault((problem.key, problem.message), problem)
    return in_order(found.values())


def _of_arm(arm: ArmSpec | CodeArm, folder: Path) -> Iterator[tuple[str, str]]:
    if isinstance(arm, CodeArm):
        yield from _keyed("callable", _module(arm.callable, folder))
        return
    yield from _source("data.train", arm.data.train, folder, arm.data.train.classes or arm.data.classes)
    train = arm.data.train.directory
    classes = arm.data.validation.classes or arm.data.classes or (None if train is None else _folders(train))
    yield from _source("data.validation", arm.data.validation, folder, classes)
    backbone = arm.backbone
    yield from _keyed("backbone.file", _file(backbone.file))
    yield from _keyed("backbone.callable", _module(backbone.callable, folder))
    if backbone.application is not None and backbone.weights not in {"imagenet", "none"}:
        hint = "; write imagenet, none or the path of a weights file"
        yield from _keyed("backbone.weights", (message + hint for message in _file(Path(backbone.weights))))
    if arm.features is not None:
        yield from _keyed("features.train", _file(arm.features.train))
        yield from _keyed("features.validation", _file(arm.features.validation))
    yield from _keyed("head_weights", _file(arm.head_weights))
    yield from _preprocessing("backbone.trained_with", backbone.trained_with, folder)
    yield from _preprocessing("preprocessing", arm.preprocessing, folder)


def _keyed(key: str, messages: Iterator[str]) -> Iterator[tuple[str, str]]:
    return ((key, message) for message in messages)


def _preprocessing(key: str, preprocessing: Preprocessing | None, folder: Path) -> Iterator[tuple[str, str]]:
    if preprocessing is not None:
        yield from _keyed(f"{key}.callable", _module(preprocessing.callable, folder))


def _source(key: str, source: Source, folder: Path, classes: tuple[str, ...] | None) -> Iterator[tuple[str, str]]:
    yield from _keyed(f"{key}.directory", _directory(source.directory, classes))
    yield from _keyed(f"{key}.npz", _file(source.npz))
    yield from _keyed(f"{key}.csv", _file(source.csv))
    yield from _keyed(f"{key}.callable", _module(source.callable, folder))


def _file(path: Path | None) -> Iterator[str]:
    if path is not None and (message := _unusable(path, folder=False)):
        yield message


def _directory(path: Path | None, classes: tuple[str, ...] | None) -> Iterator[str]:
    if path is None:
        return
    if message := _unusable(path, folder=True):
        yield message
    else:
        yield from _class_folders(path, classes)


def _unusable(path: Path, *, folder: bool) -> str | None:
    """Why a file or folder cannot be read, if it cannot."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: no such {'folder' if folder else 'file'}"
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    if folder != stat.S_ISDIR(mode):
        return f"{path}: is a file, not a folder" if folder else f"{path}: is a folder, not a file"
    return None if os.access(path, os.R_OK | os.X_OK if folder else os.R_OK) else f"{path}: no permission to read it"


def _class_folders(path: Path, classes: tuple[str, ...] | None) -> Iterator[str]:
    present = _folders(path)
    if len(classes or present) < 2:  # noqa: PLR2004
        one = f"only one sub-folder, {present[0]}" if present else "no sub-folders"
        yield f"{path}: has {one}; expected one sub-folder of images for each of two or more classes"
    absent = [name for name in classes or () if name not in present]
    if absent:
        yield f"{path}: has no sub-folder for {_listed('class', absent)}"
    wanted = [name for name in classes or present if name in present]
    closed = [name for name in wanted if not os.access(path / name, os.R_OK | os.X_OK)]
    if closed:
        yield f"{path}: no permission to read {_listed('sub-folder', closed)}"
    empty = [name for name in wanted if name not in closed and not _has_image(path / name)]
    if empty:
        yield f"{path}: no images ({' '.join(sorted(IMAGE_SUFFIXES))}) in {_listed('sub-folder', empty)}"


def _listed(noun: str, names: list[str]) -> str:
    plural = {"class": "classes"}.get(noun, f"{noun}s")
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"{noun if len(names) == 1 else plural} {', '.join(names[:_MOST_NAMED])}{rest}"


def _folders(path: Path) -> tuple[str, ...]:
    """Class folders; hidden ones such as ``.ipynb_checkpoints`` are none, as in Keras."""
    try:
        return tuple(
            sorted(child.name for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
        )
    except OSError:
        return ()


def _has_image(folder: Path) -> bool:
    return any(
        os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122  (a Path per image is slow in large folders)
        for _, _, names in os.walk(folder)
        for name in names
    )


def _module(callable_name: str | None, folder: Path) -> Iterator[str]:
    """Looks for the module of ``package.module:function``, but only its first part: finding more imports it."""
    if callable_name is None:
        return
    module = callable_name.partition(":")[0]
    top = module.partition(".")[0]
    found = PathFinder.find_spec(top, [str(folder), str(Path.cwd())]) or _installed(top)
    if found is None and _made_at_run_time(top):
        return
    if found is None:
        yield f"no module {top!r} in {folder} or on the Python path"
    elif found.loader is None and module == top:
        yield f"{top!r} is a folder without __init__.py; expected a module, such as {top}.py"


def _installed(top: str) -> ModuleSpec | None:
    """Asks the finders themselves: ``find_spec`` first believes sys.modules, where a deleted module lives on."""
    finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
    specs = (find(top, None) for find in finders if find is not None)
    return next((found for found in specs if found is not None), None)


def _made_at_run_time(top: str) -> bool:
    """Whether a loaded module came from no finder: a notebook's ``__main__``, say, whose functions can be named."""
    module = sys.modules.get(top)
    return module is not None and (top == "__main__" or getattr(module, "__spec__", None) is None)
