"""The order in which checks judge, and what becomes of what they say."""

from __future__ import annotations

from graphlib import CycleError

import pytest

from equivcheck.check import Check, Fault
from equivcheck.examine import examine


@pytest.fixture
def judged():
    """Codes in the order in which they were asked."""
    return []


@pytest.fixture
def make(judged):
    """A check that says what it is told to: severities, ``cleared``, or an exception to raise."""

    def check(code, *says, requires=()):
        def judge(self, evidence):
            judged.append(code)
            for said in says:
                if isinstance(said, Exception):
                    raise said
                if said == "cleared":
                    yield self.cleared("harmless")
                else:
                    yield self.finding("frozen", said, measured={}, expected="e", severity=said)

        texts = dict.fromkeys(("title", "what", "why", "shows", "clean", "measured", "mistaken_for", "advice"), "x")
        attributes = {
            "code": code,
            "name": f"check-{code.lower()}",
            "references": ("r",),
            "fault": Fault({"a": 1}),
            "requires": requires,
            "examine": judge,
            **texts,
        }
        return type("Made", (Check,), attributes)()

    return check


def test_nothing_to_say(make):
    said = examine(None, [make("EQ101"), make("EQ102")])
    assert (said.findings, said.cleared, said.skipped, said.failed) == ((), (), (), ())


def test_no_checks():
    assert examine(None, []).findings == ()


def test_what_is_required_judges_first(make, judged):
    examine(
        None,
        [
            make("EQ101", requires=("EQ501", "EQ301")),
            make("EQ201"),
            make("EQ301", requires=("EQ501",)),
            make("EQ501"),
        ],
    )
    assert sorted(judged) == ["EQ101", "EQ201", "EQ301", "EQ501"]
    assert judged.index("EQ501") < judged.index("EQ301") < judged.index("EQ101")


def test_a_consequence_is_skipped_and_says_of_what(make, judged):
    said = examine(
        None,
        [make("EQ101", "error"), make("EQ102", "error"), make("EQ201", "error", requires=("EQ103", "EQ102", "EQ101"))],
    )
    assert [found.code for found in said.findings] == ["EQ101", "EQ102"]
    assert [(skipped.code, skipped.reason) for skipped in said.skipped] == [("EQ201", "a consequence of EQ101, EQ102")]
    assert "EQ201" not in judged


@pytest.mark.parametrize("said", ["warning", "note", "cleared"])
def test_only_an_error_has_consequences(make, said):
    found = examine(None, [make("EQ101", said), make("EQ201", "error", requires=("EQ101",))])
    assert "EQ201" in {finding.code for finding in found.findings}
    assert found.skipped == ()


def test_a_skipped_check_has_no_consequences_of_its_own(make):
    """EQ301 goes unanswered only where what it requires itself raised an error."""
    found = examine(
        None,
        [
            make("EQ101", "error"),
            make("EQ201", "error", requires=("EQ101",)),
            make("EQ301", "error", requires=("EQ201",)),
        ],
    )
    assert [finding.code for finding in found.findings] == ["EQ101", "EQ301"]


def test_what_is_required_need_not_be_selected(make):
    found = examine(None, [make("EQ201", "error", requires=("EQ101",))])
    assert [finding.code for finding in found.findings] == ["EQ201"]


def test_a_check_that_fails_is_reported_and_stops_no_other(make):
    found = examine(
        None,
        [make("EQ101", ValueError("of all things")), make("EQ102", "error"), make("EQ201", requires=("EQ101",))],
    )
    assert found.failed == ("EQ101",)
    assert [finding.code for finding in found.findings] == ["EQ102"]
    assert [(skipped.code, skipped.reason) for skipped in found.skipped] == [
        ("EQ101", "the check itself failed: ValueError: of all things")
    ]


def test_what_a_check_said_before_it_failed_is_kept(make):
    found = examine(None, [make("EQ101", "error", "cleared", KeyError("x"))])
    assert [finding.code for finding in found.findings] == ["EQ101"]
    assert [cleared.code for cleared in found.cleared] == ["EQ101"]
    assert found.failed == ("EQ101",)


def test_findings_are_sorted_by_severity_then_code(make):
    found = examine(
        None,
        [
            make("EQ401", "note", "error"),
            make("EQ301", "warning"),
            make("EQ201", "error", "note"),
            make("EQ101", "warning", "cleared"),
            make("EQ102", "cleared"),
        ],
    )
    assert [(finding.severity, finding.code) for finding in found.findings] == [
        ("error", "EQ201"),
        ("error", "EQ401"),
        ("warning", "EQ101"),
        ("warning", "EQ301"),
        ("note", "EQ201"),
        ("note", "EQ401"),
    ]
    assert [cleared.code for cleared in found.cleared] == ["EQ101", "EQ102"]


def test_the_order_in_which_checks_are_given_does_not_matter(make):
    checks = [make("EQ101", "error"), make("EQ102", "note", "cleared"), make("EQ201", "error", requires=("EQ101",))]
    assert examine(None, checks) == examine(None, checks[::-1])


def test_requirements_in_a_circle_are_a_mistake_of_ours(make):
    with pytest.raises(CycleError):
        examine(None, [make("EQ101", requires=("EQ102",)), make("EQ102", requires=("EQ101",))])
