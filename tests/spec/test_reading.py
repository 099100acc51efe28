"""What YAML is taken for, and what is refused."""

from __future__ import annotations

import math
import time

import pytest

from equivcheck.spec.reading import MAX_BYTES, MAX_DEPTH, MAX_VALUES, Place, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("12", 12),
        ("-3", -3),
        ("0x1f", 31),
        ("0o17", 15),
        ("017", 17),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2001-01-01", "2001-01-01"),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e-3", 0.001),
        ("-.inf", -math.inf),
        ("'1'", "1"),
        ('"true"', "true"),
        ("|\n  a\n  b", "a\nb"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text, value):
    read = read_yaml(f"key: {text}").data["key"]
    assert (read, type(read)) == (value, type(value))


def test_nan_is_read_as_a_float():
    assert math.isnan(read_yaml("key: .nan").data["key"])


def test_every_key_and_item_has_its_place():
    """Scalars also know where their value stands; mappings and lists are found at their key."""
    places = read_yaml("a:\n  b: 1\n  c: [x, y]\nd: {e: f}\n").places
    assert places == {
        "a": Place(1, 1, 1, 1),
        "a.b": Place(2, 3, 2, 6),
        "a.c": Place(3, 3, 3, 3),
        "a.c.0": Place(3, 7, 3, 7),
        "a.c.1": Place(3, 10, 3, 10),
        "d": Place(4, 1, 4, 1),
        "d.e": Place(4, 5, 4, 8),
    }


def test_aliases_are_copied():
    """An alias is a copy: changing one place of the data leaves the other alone."""
    data = read_yaml("a: &x {k: [1]}\nb: *x\n").data
    assert data == {"a": {"k": [1]}, "b": {"k": [1]}}
    assert data["a"] is not data["b"]


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "is empty; equivcheck init writes a spec to start from"),
        ("# nothing\n", 1, 1, "is empty; equivcheck init writes a spec to start from"),
        ("word", 1, 1, "is not a mapping; a spec is made of keys such as version: 1"),
        ("- a\n- b", 1, 1, "is not a mapping; a spec is made of keys such as version: 1"),
        ("a: 1\n---\nb: 2", 2, 1, "a second document starts here; a spec is one document"),
        ("%YAML 1.1\n---\na: 1", 2, 1, "directives are not allowed; remove the lines that start with %"),
        ("a: *b", 1, 4, "alias *b has no anchor before it"),
        ("a: &a [*a]", 1, 8, "alias *a has no anchor before it"),
        ("a:\n\tb: 1", 2, 1, "a tab is used to indent; YAML allows only spaces there"),
        ("a:\n  \tb: 1", 2, 3, "a tab is used to indent; YAML allows only spaces there"),
        ("a: 1\nb: x\x00y", 2, 5, "control character U+0000; a spec is plain text"),
        ("a: 1\n\x1b[31m", 2, 1, "control character U+001B; a spec is plain text"),
        ("a: 'x", 1, 6, "is not valid YAML: while scanning a quoted scalar, found unexpected end of stream"),
        ("a: b: c", 1, 5, "is not valid YAML: mapping values are not allowed here"),
        (
            "a: @x",
            1,
            4,
            "is not valid YAML: while scanning for the next token, found character '@' that cannot start any token",
        ),
        ("a: " + "[" * 100_000, 1, 36, f"is nested more than {MAX_DEPTH} levels deep"),
        ("a: [" + "1," * MAX_VALUES + "]", 1, 19999, f"more than {MAX_VALUES} values; that is no spec"),
    ],
)
def test_a_text_that_makes_no_sense_has_one_complaint(text, line, column, message):
    reading = read_yaml(text)
    assert reading.data is None
    assert [(found.line, found.column, found.message) for found in reading.complaints] == [(line, column, message)]


@pytest.mark.parametrize(
    ("text", "key", "line", "column", "message"),
    [
        ("a: !!python/object/apply:os.system [ls]", "a", 1, 4, "tag !!python/object/apply:os.system is not allowed"),
        ("a: !!int '3'", "a", 1, 4, "tag !!int is not allowed"),
        ("a: !mine {b: 1}", "a", 1, 4, "tag !mine is not allowed"),
        ("a: 1\nb: 2\na: 3", "a", 3, 1, "is given twice, first in line 1"),
        ("a:\n  b: 1\n  b: 1", "a.b", 3, 3, "is given twice, first in line 2"),
        ("1: a", "", 1, 1, "a key is not a string"),
        ("a:\n  true: 1", "a", 2, 3, "a key is not a string"),
        ("? [a, b]\n: 1", "", 1, 3, "a key is not a string"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "c", 3, 3, "merge keys (<<) are not allowed"),
        ('"a\\e[0m": 1', "", 1, 1, "key 'a\\x1b[0m' holds characters that cannot be printed"),
    ],
)
def test_what_is_no_plain_data_is_complained_of_and_reading_goes_on(text, key, line, column, message):
    reading = read_yaml(text)
    (found,) = reading.complaints
    assert reading.data is not None
    assert (found.key, found.line, found.column) == (key, line, column)
    assert found.message.startswith(message)


def test_several_complaints_are_collected():
    reading = read_yaml("a: !x 1\na: 2\n3: 4\n")
    assert [found.line for found in reading.complaints] == [1, 2, 3]


def test_aliases_cannot_explode():
    """Billion laughs: ten levels of ten aliases are refused at once and in no time."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 11)]
    start = time.monotonic()
    reading = read_yaml("\n".join(lines))
    assert time.monotonic() - start < 5
    assert [found.message for found in reading.complaints] == [f"aliases expand to more than {MAX_VALUES} values"]


def test_aliases_cannot_nest_without_end():
    """Each alias may lie only one level below the last, so that no stack overflows."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000)]
    (found,) = read_yaml("\n".join(lines)).complaints
    assert found.message == f"aliases nest more than {MAX_DEPTH} levels deep"


def test_a_large_hostile_text_is_refused_quickly():
    start = time.monotonic()
    assert read_yaml("\n".join(f"k{n}: [1, 2]" for n in range(MAX_BYTES // 16))).data is None
    assert time.monotonic() - start < 10


def test_a_number_too_long_for_an_integer_is_no_error():
    assert read_yaml("a: " + "9" * 5000).data == {"a": math.inf}
