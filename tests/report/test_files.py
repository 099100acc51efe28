"""Saving: the suffix names the format, and nothing half-written is ever seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from equivcheck.errors import InputError
from equivcheck.report import files
from equivcheck.report.json_format import loads


def test_json_is_saved_and_replaced(report, tmp_path):
    path = tmp_path / "out.JSON"
    path.write_text("old")
    report.save(path)
    assert loads(path.read_text()).name == report.name
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.JSON"]


def test_file_has_the_usual_permissions(report, tmp_path):
    report.save(tmp_path / "out.json")
    (tmp_path / "plain").touch()
    assert (tmp_path / "out.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_link_stays_a_link(report, tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    report.save(str(tmp_path / "link.json"))
    assert (tmp_path / "link.json").is_symlink()
    assert loads((tmp_path / "real.json").read_text()).name == report.name


@pytest.mark.parametrize(("name", "said"), [("out.docx", r"suffix \.docx"), ("out", r"suffix \(none\)")])
def test_unknown_suffix_says_what_is_supported(report, tmp_path, name, said):
    with pytest.raises(
        InputError, match=rf"{said} names no format of a report; supported: .*\.json, \.md, \.html, \.xml"
    ):
        report.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "out.json"
    path.write_text("old")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"out\.json: cannot be written: No space left on device"):
        files.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.json"]  # noqa: PTH208


def test_missing_folder_and_folder_in_the_way(report, tmp_path):
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        report.save(tmp_path / "no" / "out.json")
    (tmp_path / "dir.json").mkdir()
    with pytest.raises(InputError, match="cannot be written: Is a directory"):
        report.save(tmp_path / "dir.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["dir.json"]
