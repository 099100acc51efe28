"""Results are computed once, whoever asks for them and when, and forgotten when they are too large together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from equivcheck.replay.memo import Memo


def asked(memo, key, value):
    """What a key gives, and whether it was computed for that."""
    computed = []
    given = memo.get((key,), lambda: computed.append(key) or value)
    return given, bool(computed)


def test_a_result_is_computed_once():
    memo = Memo(len, 100)
    assert asked(memo, "a", "first") == ("first", True)
    assert asked(memo, "a", "second") == ("first", False)
    assert asked(memo, "b", "second") == ("second", True)


def test_others_wait_for_who_computes_it():
    memo, begun, go = Memo(len, 100), Event(), Event()
    computed = []

    def slowly():
        begun.set()
        go.wait(10)
        computed.append("slowly")
        return "result"

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(memo.get, ("a",), slowly)
        assert begun.wait(10)
        others = [pool.submit(memo.get, ("a",), lambda: computed.append("again")) for _ in range(2)]
        go.set()
        assert [each.result(10) for each in (first, *others)] == ["result"] * 3
    assert computed == ["slowly"]


def test_what_raised_is_tried_again_by_the_next():
    memo, begun, go = Memo(len, 100), Event(), Event()

    def fails():
        begun.set()
        go.wait(10)
        raise ValueError("of the first")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(memo.get, ("a",), fails)
        assert begun.wait(10)
        other = pool.submit(memo.get, ("a",), lambda: "of the other")
        go.set()
        assert other.result(10) == "of the other"
        with pytest.raises(ValueError, match="of the first"):
            first.result(10)
    assert asked(memo, "a", "a third time") == ("of the other", False)


def test_what_was_not_asked_for_longest_is_forgotten():
    memo = Memo(len, 6)
    for key in "abc":
        asked(memo, key, "xx")
    asked(memo, "a", "")
    assert [key for (key,), _ in memo.finished()] == ["a", "c", "b"]
    asked(memo, "d", "xx")
    assert [key for (key,), _ in memo.finished()] == ["d", "a", "c"]
    assert asked(memo, "b", "yy") == ("yy", True)


def test_the_last_is_kept_however_large_it_is():
    memo = Memo(len, 6)
    asked(memo, "a", "xx")
    asked(memo, "b", "x" * 100)
    assert [key for (key,), _ in memo.finished()] == ["b"]
