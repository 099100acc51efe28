"""Whether the files that a spec names are there."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from equivcheck.spec import check_paths


@pytest.fixture
def found(experiment, write, valid):
    """Paths and messages, relative to the working directory, for a spec whose images are there."""

    def of(text=valid):
        return [
            f"{problem.location.line}:{problem.location.column} {problem.key}: "
            + problem.message.replace(f"{Path.cwd()}{os.sep}", "")
            for problem in check_paths(experiment(text))
        ]

    return of


@pytest.fixture
def images(write):
    for split in ("train", "validation"):
        for name in ("cat", "dog"):
            folder = Path("images", split, name)
            folder.mkdir(parents=True)
            (folder / "one.PNG").touch()
    return Path("images")


def test_nothing_is_wrong_where_everything_is_there(found, images):
    assert found() == []


def test_missing_folders_are_named_once_for_both_arms(found):
    assert found() == [
        "4:11 data.train.directory: images/train: no such folder",
        "5:16 data.validation.directory: images/validation: no such folder",
    ]


def test_a_file_is_no_folder(found, images):
    (images / "train").rename("elsewhere")
    (images / "train").touch()
    assert found() == ["4:11 data.train.directory: images/train: is a file, not a folder"]


def test_one_class_is_no_classification(found, images):
    for split in ("train", "validation"):
        (images / split / "dog").rename(f"dog-{split}")
    expected = "has only one sub-folder, cat; expected one sub-folder of images for each of two or more classes"
    assert found() == [
        f"4:11 data.train.directory: images/train: {expected}",
        f"5:16 data.validation.directory: images/validation: {expected}",
    ]


def test_images_without_class_folders(found, images):
    for name in ("cat", "dog"):
        (images / "train" / name / "one.PNG").rename(images / "train" / f"{name}.png")
        (images / "train" / name).rmdir()
    assert found() == [
        (
            "4:11 data.train.directory: images/train: has no sub-folders; expected one sub-folder of images "
            "for each of two or more classes"
        )
    ]


def test_class_folders_without_images(found, images):
    (images / "train" / "dog" / "one.PNG").rename(images / "train" / "dog" / "one.txt")
    assert found() == [
        (
            "4:11 data.train.directory: images/train: no images (.bmp .gif .jpeg .jpg .png .tif .tiff .webp) in "
            "sub-folder dog"
        )
    ]


def test_images_may_lie_deeper(found, images):
    (images / "train" / "dog" / "more").mkdir()
    (images / "train" / "dog" / "one.PNG").rename(images / "train" / "dog" / "more" / "one.jpeg")
    assert found() == []


def test_hidden_folders_are_no_classes(found, images):
    """Jupyter leaves them behind."""
    (images / "train" / ".ipynb_checkpoints").mkdir()
    assert found() == []


def test_the_validation_split_needs_the_classes_of_the_training_split(found, images):
    (images / "validation" / "dog").rename(images / "validation" / "wolf")
    assert found() == ["5:16 data.validation.directory: images/validation: has no sub-folder for class dog"]


def test_named_classes_need_their_folders_and_no_others(found, images, valid):
    (images / "train" / "empty").mkdir()
    text = valid.replace("[8, 9]", "[8, 9]\n  classes: [dog, cow, cat]")
    assert found(text) == [
        "4:11 data.train.directory: images/train: has no sub-folder for class cow",
        "5:16 data.validation.directory: images/validation: has no sub-folder for class cow",
    ]


@pytest.mark.parametrize("kind", ["npz", "csv"])
def test_data_files(found, images, valid, kind):
    text = valid.replace("directory: images/train", f"{kind}: data.{kind}")
    assert found(text) == [f"4:11 data.train.{kind}: data.{kind}: no such file"]
    Path(f"data.{kind}").mkdir()
    assert found(text) == [f"4:11 data.train.{kind}: data.{kind}: is a folder, not a file"]


def test_backbone_weights_and_logs(found, images, valid):
    text = valid.replace("weights: none", "weights: Imagenet")
    text += "frozen: {backbone: {file: b.keras}}\nobserved: {frozen: f.log, bottleneck: b.log}\n"
    assert found(text) == [
        "9:3 backbone.weights: Imagenet: no such file; write imagenet, none or the path of a weights file",
        "18:21 frozen.backbone.file: b.keras: no such file",
        "19:12 observed.frozen: f.log: no such file",
        "19:27 observed.bottleneck: b.log: no such file",
    ]


def test_a_path_that_the_system_refuses(found, images, valid):
    """Too long, here; behind a closed folder it is the same."""
    (problem,) = found(valid.replace("directory: images/train", f"npz: {'x' * 300}"))
    assert problem.endswith(": cannot be read: File name too long")


def test_files_and_folders_must_be_readable(found, images, valid, monkeypatch):
    """Tests may run as root, who may read everything; so the answer of the system is replaced."""
    Path("x.csv").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert found(valid.replace("directory: images/train", "csv: x.csv")) == [
        "4:11 data.train.csv: x.csv: no permission to read it",
        "5:16 data.validation.directory: images/validation: no permission to read it",
    ]


def test_a_class_folder_that_is_closed(found, images, monkeypatch):
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path).parts[-2:] != ("train", "dog") and allowed(path, mode)
    )
    assert found() == ["4:11 data.train.directory: images/train: no permission to read sub-folder dog"]


CALLABLES = """\
version: 1
bottleneck: {callable: "mine:bottleneck"}
frozen: {callable: "package.inner:frozen"}
"""


def test_modules_of_callables_are_looked_for_but_never_run(found, write):
    """Beside the spec first. Only the first part of a dotted name: finding more would import the package."""
    assert found(CALLABLES) == [
        f"2:14 bottleneck.callable: no module 'mine' in {Path.cwd()} or on the Python path",
        f"3:10 frozen.callable: no module 'package' in {Path.cwd()} or on the Python path",
    ]
    Path("mine.py").write_text("raise SystemExit('executed')", encoding="utf-8")
    Path("package").mkdir()
    Path("package", "__init__.py").write_text("raise SystemExit('executed')", encoding="utf-8")
    assert found(CALLABLES) == []


def test_installed_modules_are_found(found, write):
    assert found(CALLABLES.replace("mine", "json").replace("package.inner", "logging.config")) == []


def test_a_deleted_module_is_not_found_although_it_is_still_loaded(found, write, monkeypatch):
    """In a long session, such as a notebook's."""
    Path("once.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(Path.cwd())
    importlib.import_module("once")
    Path("once.py").unlink()
    try:
        said = found(CALLABLES.replace("mine", "once").replace("package.inner", "json"))
    finally:
        del sys.modules["once"]
    assert said == [f"2:14 bottleneck.callable: no module 'once' in {Path.cwd()} or on the Python path"]


@pytest.mark.parametrize("name", ["__main__", "made_in_a_notebook"])
def test_a_module_that_came_from_nowhere_is_there_while_it_is_loaded(found, write, monkeypatch, name):
    text = CALLABLES.replace("mine", name).replace("package.inner", "json")
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert sys.modules[name].__spec__ is None
    assert found(text) == []
    monkeypatch.delitem(sys.modules, name)
    assert len(found(text)) == 1


def test_a_module_without_any_spec_attribute(found, write, monkeypatch):
    monkeypatch.setitem(sys.modules, "bare", SimpleNamespace())
    assert found(CALLABLES.replace("mine", "bare").replace("package.inner", "json")) == []


def test_a_plain_folder_is_no_module(found, write):
    Path("mine").mkdir()
    Path("package").mkdir()
    assert found(CALLABLES) == [
        "2:14 bottleneck.callable: 'mine' is a folder without __init__.py; expected a module, such as mine.py"
    ]


def test_callables_of_all_places_are_looked_for(found, images, valid):
    text = valid.replace("{directory: images/train}", "{callable: 'nope:a'}")
    text = text.replace("weights: none", "trained_with: {callable: 'nope:b'}").replace("application: V", "file: V")
    text = text.replace("{rescale: 0.5, offset: -1}", "{callable: 'nope:c'}")
    text += "frozen: {backbone: {callable: 'nope:d'}}\n"
    keys = [line.split(": ")[0].split(" ")[1] for line in found(text) if "no module 'nope'" in line]
    assert keys == [
        "data.train.callable",
        "backbone.trained_with.callable",
        "preprocessing.callable",
        "frozen.backbone.callable",
    ]
