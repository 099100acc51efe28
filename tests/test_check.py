"""The contract of one check: what a class must say about itself before it exists."""

from __future__ import annotations

import pytest

from equivcheck.check import Check, Fault
from equivcheck.findings import Repair

COMPLETE = {
    "code": "EQ899",
    "name": "made-up-defect",
    "title": "t",
    "what": "w",
    "why": "y",
    "shows": "s",
    "clean": "c",
    "measured": "m",
    "mistaken_for": "f",
    "advice": "a",
    "references": ("r",),
    "fault": Fault({"frozen.training.shuffle": False}),
    "examine": lambda *_: (),
}
TEXTS = ("title", "what", "why", "shows", "clean", "measured", "mistaken_for", "advice")


def make(module="somewhere", **changes):
    """A subclass of ``Check``; an attribute that is ``...`` is left out."""
    attributes = {key: value for key, value in (COMPLETE | changes).items() if value is not ...}
    return type("MadeUp", (Check,), {**attributes, "__module__": module})


def test_a_complete_check():
    check = make()()
    assert check.requires == ()
    assert list(check.examine(None)) == []


@pytest.mark.parametrize("value", [..., "", "  \n"])
@pytest.mark.parametrize("text", TEXTS)
def test_each_missing_text_is_named(text, value):
    with pytest.raises(TypeError, match=rf"^somewhere\.MadeUp: {text} is missing or empty$"):
        make(**{text: value})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"code": ...}, "code must look like EQ401"),
        ({"code": "EQ901"}, "code must look like EQ401"),
        ({"code": "eq401"}, "code must look like EQ401"),
        ({"code": "EQ4011"}, "code must look like EQ401"),
        ({"name": ...}, "name must be words in lower case joined by hyphens"),
        ({"name": "Dropout-active"}, "name must be words in lower case joined by hyphens"),
        ({"name": "dropout"}, "name must be words in lower case joined by hyphens"),
        ({"name": "dropout_active"}, "name must be words in lower case joined by hyphens"),
        ({"references": ...}, "references are missing"),
        ({"references": ()}, "references are missing"),
        ({"fault": ...}, "fault is missing"),
        ({"fault": {"a": 1}}, "fault is missing"),
    ],
)
def test_each_other_defect_is_named(changes, problem):
    with pytest.raises(TypeError, match=rf": {problem}$"):
        make(**changes)


def test_all_defects_are_named_at_once():
    with pytest.raises(TypeError) as raised:
        make(title="", why=..., code="x", fault=...)
    assert str(raised.value) == (
        "somewhere.MadeUp: title is missing or empty; why is missing or empty; code must look like EQ401; "
        "fault is missing"
    )


def test_the_file_is_called_as_the_check():
    make("equivcheck.checks.eq899_made_up_defect")
    with pytest.raises(TypeError, match=r": its file must be called eq899_made_up_defect\.py$"):
        make("equivcheck.checks.eq899_made_up")


def test_a_check_without_a_judgement_cannot_be_made():
    with pytest.raises(TypeError, match="abstract"):
        make(examine=...)()


def test_a_finding_takes_its_words_from_the_check():
    found = make()().finding(
        "frozen", "it broke", measured={"n": 1}, expected="it holds", patch={"labels": "sparse"}, key="labels"
    )
    assert (found.code, found.name, found.title, found.severity) == ("EQ899", "made-up-defect", "t", "error")
    assert found.repair == Repair("a", {"labels": "sparse"})
    assert (found.key, found.layer, found.location, found.verified, found.share) == ("labels", None, None, None, None)


def test_a_finding_may_need_other_advice():
    found = make()().finding("both", "m", measured={}, expected="e", severity="note", advice="other", layer="a/b")
    assert found.repair == Repair("other", None)
    assert (found.severity, found.layer) == ("note", "a/b")


def test_a_cleared_difference():
    cleared = make()().cleared("harmless", loss_difference=1e-9)
    assert (cleared.code, cleared.name, cleared.message) == ("EQ899", "made-up-defect", "harmless")
    assert cleared.measured == {"loss_difference": 1e-9}
