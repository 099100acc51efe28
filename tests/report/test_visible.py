from __future__ import annotations

from equivcheck.report.visible import LONGEST_WORD, in_ascii, shortened, shortened_words, visible


def test_what_draws_nothing_is_shown():
    assert visible("a\x1b[31mb\x07\x9b\u202e\u200b\ud800\n") == r"a\x1b[31mb\x07\x9b\u202e\u200b\ud800\n"


def test_what_is_no_character_is_shown():
    assert visible("\ufffe\uffff\U0001ffff") == r"\ufffe\uffff\U0001ffff"


def test_prose_keeps_its_lines():
    assert visible("a\r\n\tb\rc", keep_lines=True) == "a\n    b\\rc"


def test_other_scripts_stay():
    assert visible("中文 naïve ✓") == "中文 naïve ✓"


def test_ascii_has_a_likeness_or_an_escape():
    assert in_ascii("≠ … → 中 é") == r"!= ... -> \u4e2d \xe9"


def test_long_names_keep_both_ends():
    name = "backbone/" + "x" * 10_000 + "/conv2d"
    assert len(shortened(name)) <= LONGEST_WORD
    assert shortened(name).startswith("backbone/x")
    assert shortened(name).endswith("x/conv2d")
    assert shortened("short") == "short"
    words = shortened_words(f"the layer {name}\nis long")
    assert words == f"the layer {shortened(name)}\nis long"
