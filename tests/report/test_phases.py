"""Phases on the curves, in tables and in words, whatever shows them."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from equivcheck.findings import Cleared
from equivcheck.measured import FirstDivergence, PhaseSpan
from equivcheck.report.finding_words import arm_of
from equivcheck.report.formats import render
from equivcheck.report.html.charts import charts
from equivcheck.report.phase_words import ends, in_phases, marks
from equivcheck.report.summary import summarise
from equivcheck.report.terminal import print_report
from equivcheck.report.terminal.plot import plot

DASH = "\N{EN DASH}"
HEAD = PhaseSpan("head", 4, 4, 10, 10, 0, FirstDivergence())
BLOCK = PhaseSpan("block5", 6, 6, 90, 90, 2, FirstDivergence(None, "backbone/conv2d_1_bn"))


@pytest.fixture
def phased(report):
    first, *others = report.findings
    return replace(
        report,
        phases=(HEAD, BLOCK),
        findings=(replace(first, phases=("block5",)), *others),
        cleared=(Cleared("EQ608", "optimizer-state-reset", "fresh in both", {}, ("block5",)),),
    )


def shown(report, encoding="utf-8"):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    print_report(report, Console(file=file, width=100))
    file.flush()
    return raw.getvalue().decode(encoding)


def test_a_phase_begins_between_two_epochs():
    assert marks((HEAD, BLOCK)) == [(4.5, "block5")]
    assert marks(()) == []
    assert marks((HEAD,)) == []


def test_arms_that_begin_a_phase_in_other_epochs_have_a_mark_each():
    early = replace(HEAD, bottleneck=2)
    assert marks((early, BLOCK)) == [(2.5, "block5 (bottleneck)"), (4.5, "block5 (frozen)")]
    assert marks((HEAD, replace(BLOCK, bottleneck=None))) == [(4.5, "block5")]
    assert marks((replace(HEAD, bottleneck=None, frozen=None), BLOCK)) == []


def test_the_end_of_each_phase_is_told(phased):
    rows = ends(phased)
    assert [(name, epochs, arm) for name, epochs, arm, _ in rows] == [
        ("head", f"epochs 1{DASH}4", "bottleneck"),
        ("head", f"epochs 1{DASH}4", "frozen"),
        ("block5", f"epochs 5{DASH}10", "bottleneck"),
        ("block5", f"epochs 5{DASH}10", "frozen"),
    ]
    assert [values for *_, values in rows][:2] == [["93.8 %", "95.3 %"], ["50.0 %", "57.8 %"]]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_on_a_terminal(phased, encoding):
    text = shown(phased, encoding)
    upright = "┊" if encoding == "utf-8" else ":"
    assert f"{upright} block5" in text
    assert text.count(f"{upright}\n") + text.count(f"{upright} ") > 5
    assert "frozen arm, in phase block5" in text
    assert "optimizer state reset, in phase block5" in text


def test_an_upright_line_hides_no_curve():
    text = plot({"F": (0.0, 0.5, 1.0)}, (0.0, 1.0), (30, 9), str, ascii_only=True, marks=[(2.0, "b"), (2.5, "c")])
    assert text.count("F") == 3
    assert text.splitlines()[-1].split() == [":", "b", ":", "c"]


def test_labels_that_would_meet_stand_below_each_other():
    text = plot({"F": (0.0, 1.0)}, (0.0, 1.0), (30, 9), str, ascii_only=True, marks=[(1.5, "long name"), (1.6, "d")])
    assert [line.strip() for line in text.splitlines()[-2:]] == [": long name", ": d"]


def test_in_html(phased):
    drawn = charts(phased.curves, marks(phased.phases))
    assert all(len(chart.phases) == 1 for chart in drawn)
    assert "phase block5 from epoch 5" in drawn[0].description
    page = render(phased, "html")
    assert page.count('<g class="phase">') == len(drawn)
    assert "at the end of phase" in page
    assert "backbone/conv2d_1_bn" in page


def test_in_markdown(phased):
    text = render(phased, "markdown")
    assert f"| block5 | epochs 5{DASH}10 | frozen |" in text
    assert "at the end of phase" in text


def test_without_phases_nothing_is_said_of_them(report):
    for text in (shown(report), render(report, "html"), render(report, "markdown")):
        assert "in phase" not in text
        assert "at the end of phase" not in text


def test_names_of_phases_are_foreign_text(phased):
    sly = replace(phased, phases=(replace(HEAD, name="<b>|x"), replace(BLOCK, name="<script>")))
    assert "<script>" not in render(sly, "html").replace("<script>\n", "").split("</style>")[1].split("<script")[0]
    assert "<b>" not in render(sly, "markdown")


def test_words_of_phases(report):
    assert in_phases(()) == ""
    assert in_phases(("a", "b")) == ", in phases a and b"
    assert arm_of(report.findings[0]) == "frozen arm"


def test_the_summary_tells_where_the_first_phase_ended(phased):
    said = summarise("s", "divergent", phased.findings, (), phased.curves, FirstDivergence(), phases=phased.phases)
    assert (
        "Phase head ends in epoch 4 with 93.8 % and 50.0 %, a difference of \N{MINUS SIGN}43.8 percentage points."
        in said
    )
    assert "In phase block5, from equal weights, they part at backbone/conv2d_1_bn as fit runs them." in said
