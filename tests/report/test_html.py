"""The HTML report: whole, offline, and what it draws is what was measured."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from itertools import pairwise

import pytest

from equivcheck.measured import Curve
from equivcheck.report.accounting import steps
from equivcheck.report.html import render
from equivcheck.report.html.charts import charts
from equivcheck.report.html.tree import tree
from equivcheck.report.html.waterfall import bars


def test_the_verdict_and_the_summary_come_first(report):
    page = render(report)
    places = [
        page.index(f'id="{section}"')
        for section in (
            "summary",
            "curves",
            "accounting",
            "errors",
            "warnings",
            "notes",
            "settings",
            "layers",
            "cleared",
        )
    ]
    assert places == sorted(places)
    assert page.index('class="verdict divergent"') < places[0]


def test_every_link_leads_somewhere(report):
    page = render(report)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(ids)


def test_nothing_is_loaded_and_only_its_own_script_may_run(report):
    page = render(report)
    assert len(page.encode()) < 500_000
    assert not re.search(r'(?:src|href)="(?!#|data:,")', page)
    assert "url(" not in page
    assert "@import" not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        content = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"<[^>]+ style=", page)


def test_findings_say_all_they_have(report):
    page = render(report)
    for finding in report.findings:
        assert finding.title in page
        assert finding.code in page
    assert "specs/two-class-inception.yaml:37:20" in page
    assert "keras_semantics: &#39;3&#39;" in page
    assert "between −34.4 pp and −29.1 pp" in page  # noqa: RUF001


def test_missing_parts_leave_no_empty_sections(report):
    page = render(
        replace(report, curves=(), attribution=None, findings=(), layers=(), cleared=(), settings=(), what_if=())
    )
    assert set(re.findall(r'<section id="(\w+)"', page)) == {"summary"}


def test_curves_are_drawn_in_their_place():
    curves = (
        Curve("bottleneck", "val_accuracy", (0.0, 1.0)),
        Curve("frozen", "val_accuracy", (1.0, float("nan"), 0.5)),
    )
    [chart] = charts(curves)
    assert [line.arm for line in chart.lines] == ["bottleneck", "frozen"]
    top, bottom = chart.values[-1][0], chart.values[0][0]
    assert (chart.values[0][1], chart.values[-1][1]) == ("0 %", "100 %")
    middle = (chart.left + chart.right) / 2
    assert chart.lines[0].path == f"M{chart.left:g} {bottom:g}L{middle:g} {top:g}"
    assert chart.lines[1].path == f"M{chart.left:g} {top:g}M{chart.right:g} {(top + bottom) / 2:g}"
    assert chart.lines[0].marks[1].text == "bottleneck, epoch 2: 100.0 %"
    assert chart.description == (
        "validation accuracy over 3 epochs: bottleneck from 0.0 % to 100.0 %; frozen from 100.0 % to 50.0 %"
    )


def test_a_long_curve_keeps_its_peak():
    values = [0.1] * 10_000
    values[7_777] = 1.0
    [chart] = charts((Curve("frozen", "accuracy", tuple(values)),))
    top = chart.values[-1][0]
    assert f" {top:g}" in chart.lines[0].path
    assert len(chart.lines[0].path) < 5_000
    assert len(chart.epochs) <= 12


@pytest.mark.parametrize(
    ("values", "ticks"),
    [((0.5, 0.5), ["40 %", "50 %"]), ((0.0, 0.03), ["0 %", "10 %"]), ((0.48, 0.97), ["40 %", "60 %", "80 %", "100 %"])],
)
def test_accuracies_have_round_ticks(values, ticks):
    [chart] = charts((Curve("frozen", "accuracy", values),))
    assert [text for _, text in chart.values] == ticks


@pytest.mark.parametrize(
    ("values", "ticks"),
    [((0.2, 4.2), ["0", "1", "2", "3", "4", "5"]), ((-1.0, 1.0), ["−1", "−0.5", "0", "0.5", "1"])],  # noqa: RUF001
)
def test_losses_begin_at_zero(values, ticks):
    [chart] = charts((Curve("frozen", "loss", values),))
    assert [text for _, text in chart.values] == ticks


def test_each_bar_begins_where_the_one_before_ends(report):
    drawn = bars(steps(report.attribution, report.findings))
    # The gap is negative, so the bars go from right to left.
    for before, after in pairwise(drawn[:-1]):
        assert after.x + after.width == pytest.approx(before.x, abs=0.2)
    gap = drawn[-1]
    assert gap.x == pytest.approx(drawn[-2].x, abs=0.2)
    assert gap.x + gap.width == pytest.approx(gap.zero, abs=0.2) == drawn[0].x + drawn[0].width
    low, high = drawn[0].whisker
    assert low < drawn[0].x < high


def test_layers_stand_in_their_containers_with_the_culprits_marked(report):
    rows, left_out = tree(report)
    assert left_out == 0
    containers = [row.label for row in rows if row.container]
    assert containers == ["backbone", "head"]
    assert rows[0].cells == ("7 equal, 17 sources, 32 propagated",)
    marked = [row for row in rows if row.label == "conv2d_1_bn"]
    assert marked[0].role == "source"
    assert marked[0].telling
    assert "first to differ in fit" in marked[0].cells[-1]
    assert sum(not row.container for row in rows) == len(report.layers)
