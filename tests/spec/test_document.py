"""Finding keys in a file, and problems that show where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from equivcheck.errors import InputError, SpecError
from equivcheck.location import Location
from equivcheck.spec import load
from equivcheck.spec.document import nearest, read_document
from equivcheck.spec.reading import MAX_BYTES


@pytest.mark.parametrize(
    ("key", "line", "column"),
    [
        ("training.loss", 16, 3),
        ("training.optimizer.learning_rate", 15, 26),
        ("head.1.dense.units", 12, 13),
        ("head.0", 11, 5),
        ("training.epochs", 14, 1),
        ("head.1.dense.bias.deep", 12, 5),
        ("nothing.at.all", 1, 1),
        ("", 1, 1),
    ],
)
def test_a_key_is_located_or_else_its_nearest_ancestor(document, valid, key, line, column):
    assert document(valid).locate(key) == Location("spec.yaml", line, column)


def test_a_problem_reads_as_promised(document, valid):
    """One line with everything, then the line of the file with a caret under what is wrong."""
    problem = document(valid).problem("training.loss", "is wrong", ("hinge", "huber"), "hugber")
    assert str(problem) == (
        'spec.yaml:16:9: training.loss: is wrong; allowed: hinge, huber; did you mean "huber"?\n'
        "      loss: categorical_crossentropy\n"
        "            ^"
    )


def test_a_problem_without_a_value_points_at_the_key(document, valid):
    assert document(valid).problem("training.loss", "is wrong").location == Location("spec.yaml", 16, 3)


def test_a_long_line_is_not_shown(write, valid):
    """A caret a thousand columns away helps nobody."""
    document, _ = read_document(write(valid + f"observed: {{frozen: {'x' * 500}}}\n"))
    assert document.problem("observed.frozen", "is wrong").source is None


def test_a_patched_document_still_knows_where_keys_stand(document, valid):
    before = document(valid)
    after = before.patched({"training.loss": "hinge", "frozen.training.shuffle": False, "labels": None})
    assert after.data["training"]["loss"] == "hinge"
    assert "labels" not in after.data
    assert before.data["training"]["loss"] == "categorical_crossentropy"
    assert after.locate("training.loss") == before.locate("training.loss")
    assert "frozen.training.shuffle" in after.keys
    assert "frozen.training.shuffle" not in before.keys


@pytest.mark.parametrize(("written", "found"), [("Adam", "adam"), ("ADMA", "adam"), ("xyz", None)])
def test_the_nearest_word_ignores_case(written, found):
    assert nearest(written, ("adam", "sgd")) == found


def test_a_missing_file_is_named(write):
    with pytest.raises(InputError, match=r"^nowhere\.yaml: no such file; equivcheck init writes"):
        load("nowhere.yaml")


def test_a_folder_is_no_spec(tmp_path):
    with pytest.raises(InputError, match="is not a file; expected a YAML spec") as raised:
        load(tmp_path)
    assert raised.value.exit_code == 2


def test_an_unreadable_file_says_why(write, valid, monkeypatch):
    path = write(valid)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"^spec\.yaml: cannot be read: Permission denied$"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: \xff\n", "spec.yaml:2:1: is not UTF-8 text; save the file as UTF-8"),
        ("name: x".encode("utf-16"), "spec.yaml:1:1: is not UTF-8 text; save the file as UTF-8"),
        (b"#" * (MAX_BYTES + 1), "spec.yaml:1:1: is larger than 1 MiB; a spec is a few dozen lines"),
        (b"", "spec.yaml:1:1: is empty; equivcheck init writes a spec to start from"),
    ],
)
def test_bytes_that_are_no_spec(write, content, message):
    path = write("")
    path.write_bytes(content)
    with pytest.raises(SpecError) as raised:
        load(path)
    assert str(raised.value) == message


def test_a_byte_order_mark_is_no_harm(write, valid):
    path = write("")
    path.write_bytes(b"\xef\xbb\xbf" + valid.encode())
    assert load(path).locate("version") == Location("spec.yaml", 1, 1)
