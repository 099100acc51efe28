"""The study: a part of it in every test run, all of it when asked for, and its own arithmetic."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import replace

import compatible
import declared
import in_code
import journal
import processes
import published
import pytest
import study
from cases import Case, Cause, Outcome, judge
from journal import Journal

from equivcheck.catalog import all_checks
from equivcheck.check import Fault

CASES = {case.name: case for case in study.all_cases()}
CODES = {check.code for check in all_checks()}

#: Every so many cases of each kind are run with all other tests, so that each kind is seen.
EVERY = {"single": 40, "combined": 44, "clean": 36}


def _representative():
    """Those that other tests do not run anyway: what is planted in code, what is planted together, what is clean."""
    for kind, step in EVERY.items():
        of_kind = [case for case in CASES.values() if case.kind == kind and (kind != "single" or case.files)]
        yield from (case.name for case in of_kind[:: step if kind != "single" else step // 2])


REPRESENTATIVE = frozenset(_representative())


@pytest.fixture(scope="module")
def probe(tensorflow, tmp_path_factory):
    from prober import Prober

    return Prober(tmp_path_factory.mktemp("study"))


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in REPRESENTATIVE else pytest.mark.slow) for name in CASES]
)
def test_the_tool_is_right(probe, name):
    case = CASES[name]
    outcome = probe(case)
    assert judge(case, outcome).right, outcome


# --- its arithmetic, and what it keeps ---


def planted(*codes, kind="single", also=()):
    return Case(kind, "made up", tuple(Cause(code, (code,), also) for code in codes))


@pytest.mark.parametrize(
    ("case", "outcome", "wrong"),
    [
        (planted("EQ401"), Outcome(("EQ401",)), {}),
        (planted("EQ202"), Outcome((), ("EQ202",)), {}),
        (planted("EQ403", also=("EQ402",)), Outcome(("EQ402", "EQ403")), {}),
        (planted("EQ401"), Outcome(()), {"missed": 1}),
        (planted("EQ401"), Outcome(("EQ401", "EQ501")), {"alarms": 1}),
        (planted("EQ401"), Outcome(("EQ104", "EQ401")), {"behind": 1, "alarms": 1}),
        (planted("EQ401"), Outcome(("EQ104",)), {"missed": 1, "behind": 1, "alarms": 1}),
        (planted("EQ401"), Outcome(("EQ401",), failed=("EQ103",)), {"broken": 1}),
        (planted("EQ401"), Outcome((), trouble="SpecError: no"), {"missed": 1, "broken": 1}),
        (planted("EQ104", "EQ401", kind="combined"), Outcome(("EQ104", "EQ401")), {}),
        (planted("EQ104", "EQ401", kind="combined"), Outcome(("EQ401",)), {"missed": 1}),
        (Case("clean", "made up"), Outcome((), ("EQ104",)), {}),
        (Case("clean", "made up"), Outcome(("EQ104",)), {"alarms": 1}),
    ],
)
def test_an_outcome_is_judged(case, outcome, wrong):
    judgement = judge(case, outcome)
    counts = {field: len(getattr(judgement, field)) for field in ("missed", "behind", "alarms", "broken")}
    assert {field: count for field, count in counts.items() if count} == wrong
    assert judgement.right is (not wrong)


def test_the_more_specific_code_of_the_catalogue_is_counted():
    assert Cause("a", ("EQ899", "EQ401")).code == "EQ401"
    assert Cause("a", ("EQ899",)).code is None
    case = Case("single", "a", (Cause("a", ("EQ899", "EQ401")),))
    assert judge(case, Outcome(("EQ401",))).right


def test_there_are_enough_cases_and_each_is_told_apart():
    """At least sixty of each kind; every check is planted alone, and what is planted has a check."""
    cases = study.all_cases()
    assert len({case.key for case in cases}) == len(CASES) == len(cases)
    for kind in EVERY:
        assert sum(case.kind == kind for case in cases) >= 60
    assert {cause.code for case in cases if case.kind == "single" for cause in case.planted} == CODES
    assert 6 <= len(REPRESENTATIVE) <= 25


def test_the_same_seed_draws_the_same_combinations():
    assert [case.key for case in declared.combined()] == [case.key for case in declared.combined()]
    assert [case.key for case in in_code.combined()] == [case.key for case in in_code.combined()]


@pytest.mark.parametrize("name", [case.name for case in CASES.values() if case.kind == "combined"])
def test_nothing_is_planted_together_that_hides(name):
    codes = [cause.code for cause in CASES[name].planted]
    assert len(codes) == len(set(codes)) >= 2
    assert compatible.why_not(codes) is None


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ({"labels": 1}, {"training.loss": 2}, True),
        ({"labels": 1}, {"frozen.labels": 2}, False),
        ({"frozen.labels": 1}, {"bottleneck.labels": 2}, False),
        ({"backbone": 1}, {"frozen.backbone.call": 2}, False),
        ({"backbone.cut": 1}, {"backbone.call": 2}, True),
        ({"backbone.cut": 1}, {"backbone.cut": 1}, False),
        ({"frozen": 1}, {"labels": 2}, False),
        ({}, {"labels": 2}, True),
        ({"frozen.callable": 1}, {"frozen.data.classes": 2}, False),
        ({"frozen.callable": 1}, {"bottleneck.features": 2}, True),
        ({"frozen.callable": 1}, {"labels": 2}, True),
        ({"bottleneck.features": {"train": 1}}, {"backbone.cut": 2}, False),
        ({"bottleneck.features": {"train": 1}}, {"bottleneck.preprocessing": 2}, False),
        ({"bottleneck.features": {"train": 1}}, {"frozen.backbone.cut": 2}, True),
        ({"bottleneck.features": {"train": 1}}, {"training.loss": 2}, True),
    ],
)
def test_patches_that_meet_are_found(one, other, apart):
    assert compatible.apart(one, other) is apart
    assert compatible.apart(other, one) is apart


def test_what_two_faults_make_together_is_no_false_alarm():
    assert compatible.brought(["EQ301", "EQ401", "EQ403"]) == ("EQ305",)
    assert compatible.brought(["EQ301", "EQ401"]) == ()


@pytest.mark.parametrize(
    ("base", "fault", "fits"),
    [
        ({"backbone.cut": 1}, Fault({"labels": 2}, start={"backbone.cut": 1}), True),
        ({"backbone.cut": 1}, Fault({"labels": 2}, start={"backbone.cut": 3}), False),
        ({"backbone.cut": 1}, Fault({"backbone.cut": 1}), False),
        ({"frozen.labels": 1}, Fault({"labels": 1}), False),
    ],
)
def test_a_fault_that_the_base_has_already_is_none(base, fault, fits):
    assert compatible.fits(base, fault) is fits
    assert compatible.both_fit(Fault({"made": "up"}, start=base), fault) is fits


def test_every_code_that_a_rule_names_exists():
    """Those that are planted may wait for their check; a reason for leaving something out may not be stale."""
    assert {code for pair in (*compatible.MASKED, *compatible.TOGETHER) for code in pair} <= CODES
    assert {code for code, _ in compatible.TOGETHER.values()} <= CODES
    assert {code for _, code in declared.UNFIT} <= CODES
    assert {base for base, _ in declared.UNFIT} <= declared.BASES.keys()


@pytest.fixture
def few(monkeypatch):
    """A study of three cases; an outcome for each, and what was run."""
    cases = [planted("EQ401"), planted("EQ104", "EQ201", kind="combined"), Case("clean", "clean")]
    cases = [replace(case, name=f"case {place}") for place, case in enumerate(cases)]
    monkeypatch.setattr(study, "all_cases", lambda: cases)
    outcomes = dict(zip((case.name for case in cases), map(Outcome, [("EQ401",), ("EQ104", "EQ201"), ()]), strict=True))
    ran = []

    def run(case):
        ran.append(case.name)
        if isinstance(outcomes[case.name], BaseException):
            raise outcomes[case.name]
        return outcomes[case.name]

    run.outcomes, run.ran = outcomes, ran
    return run


def test_a_study_that_is_stopped_goes_on_where_it_was(few, tmp_path, capsys):
    few.outcomes["case 1"] = KeyboardInterrupt()
    assert study.main(["--cache", str(tmp_path)], few) == 130
    few.outcomes["case 1"] = Outcome(("EQ104", "EQ201"))
    assert study.main(["--cache", str(tmp_path)], few) == 0
    assert few.ran == ["case 0", "case 1", "case 1", "case 2"]
    assert "| one fault | 1 | 1 of 1 (100.0 %) | 1 of 1 | 0 | 0 | 0 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "outcome", "told"),
    [
        ("case 0", Outcome(()), "- single, case 0: missed EQ401 (EQ401)"),
        ("case 0", Outcome(("EQ104", "EQ401")), "- single, case 0: false alarm EQ104"),
        ("case 1", Outcome(("EQ104",)), "- combined, case 1: missed EQ201 (EQ201)"),
        ("case 2", Outcome(("EQ401",)), "- clean, case 2: false alarm EQ401"),
        ("case 2", Outcome((), trouble="bug: KeyError: 1"), "- clean, case 2: not judged: bug: KeyError: 1"),
    ],
)
def test_every_miss_and_every_false_alarm_is_told_by_name(few, tmp_path, capsys, name, outcome, told):
    few.outcomes[name] = outcome
    assert study.main(["--cache", str(tmp_path)], few) == 1
    streams = capsys.readouterr()
    assert told in streams.out
    assert name in streams.err


def test_only_the_whole_study_is_published(few, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "ROOT", tmp_path)
    (tmp_path / "reports").mkdir()
    with pytest.raises(SystemExit):
        study.main(["--write", "--kind", "clean", "--cache", str(tmp_path)], few)
    study.main(["--kind", "clean", "--cache", str(tmp_path)], few)
    assert few.ran == ["case 2"]
    assert list((tmp_path / "reports").iterdir()) == []
    study.main(["--write", "--cache", str(tmp_path)], few)
    assert (tmp_path / "reports/accuracy.md").read_text(encoding="utf-8").startswith("# Accuracy\n")


def test_a_line_that_was_cut_off_is_run_again(tmp_path):
    case = planted("EQ401")
    journal = Journal(tmp_path)
    journal.keep(case, Outcome(("EQ401",), ("EQ104",), seconds=1.5))
    assert Journal(tmp_path).get(case) == Outcome(("EQ401",), ("EQ104",), seconds=1.5)
    whole = journal.path.read_text(encoding="utf-8")
    journal.path.write_text(whole + whole[: len(whole) // 2], encoding="utf-8")
    assert Journal(tmp_path).get(case) == Outcome(("EQ401",), ("EQ104",), seconds=1.5)
    journal.path.write_text(whole[: len(whole) // 2], encoding="utf-8")
    assert Journal(tmp_path).get(case) is None
    assert json.loads(whole)["name"] == case.name


def test_outcomes_of_two_states_of_the_package_are_not_mixed(few, tmp_path, monkeypatch, capsys):
    """Neither a stale one taken for a new one, nor one kept of which nobody knows what it came of."""
    monkeypatch.setattr(journal, "source", lambda: "one")
    assert study.main(["--cache", str(tmp_path)], few) == 0
    monkeypatch.setattr(journal, "source", lambda: "another")
    assert study.main(["--cache", str(tmp_path)], few) == 0
    assert few.ran == [*few.outcomes, *few.outcomes]
    states = iter(["third", "third", "fourth"])
    monkeypatch.setattr(journal, "source", lambda: next(states))
    assert study.main(["--cache", str(tmp_path)], few) == 1
    assert few.ran[6:] == ["case 0", "case 1"]
    assert "changed while the study ran" in capsys.readouterr().err
    assert len((tmp_path / "third.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_the_state_of_the_package_is_that_of_its_code_and_fixtures(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "ROOT", tmp_path)
    for name in ("equivcheck/a.py", "equivcheck/report/b.py", "fixtures/c.csv", "fixtures/seeds/d.py", "fixtures/e.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before", encoding="utf-8")
    before = journal.source()
    for name in ("equivcheck/report/b.py", "fixtures/seeds/d.py", "fixtures/e.md"):
        (tmp_path / name).write_text("after", encoding="utf-8")
    assert journal.source() == before
    for name in ("equivcheck/a.py", "fixtures/c.csv"):
        (tmp_path / name).write_text("after", encoding="utf-8")
        assert journal.source() != before
        before = journal.source()


PROBER = """
import os

from cases import Outcome


class Prober:
    def __init__(self, folder):
        print("printed by user code")

    def __call__(self, case):
        return Outcome((case.name,), (str(os.getpid()),))
"""


def test_cases_run_in_processes_of_their_own(monkeypatch, tmp_path):
    """What the prober says comes back, and from other processes."""
    (tmp_path / "prober.py").write_text(PROBER, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    cases = [replace(planted("EQ401"), name=f"case {place}") for place in range(4)]
    with processes.in_processes(2, tmp_path) as measure:
        found = {case.name: outcome for case, outcome in measure(cases)}
    assert {name: outcome.errors for name, outcome in found.items()} == {case.name: (case.name,) for case in cases}
    assert str(os.getpid()) not in {outcome.others[0] for outcome in found.values()}


def test_the_page_counts_by_check():
    results = [(planted("EQ401"), Outcome(("EQ401", "EQ104"))), (planted("EQ401"), Outcome(()))]
    text = published.page(results, "0123456789abcdef")
    assert "| EQ401 | dropout-active-in-backbone | 2 | 1 | 0 | 0 | 0 |" in text
    assert "| EQ104 | class-sorted-batches | 0 | 0 | 0 | 0 | 1 |" in text


def test_a_sample_has_each_code_and_is_the_same_again():
    everything = study.all_cases()
    sample = study.drawn(everything, 60)
    counts = Counter(case.kind for case in sample)
    assert counts["combined"] == counts["clean"] == 60 <= counts["single"]
    alone = {str(case.planted[0].code) for case in everything if case.kind == "single"}
    assert {str(case.planted[0].code) for case in sample if case.kind == "single"} == alone
    assert study.drawn(everything, 60) == sample
