"""The report on a terminal: complete, within the width, and safe, at any width and encoding."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from equivcheck.findings import Cleared, Finding, Repair, Skipped
from equivcheck.location import Location
from equivcheck.measured import Curve, FirstDivergence, Setting
from equivcheck.report.model import Report
from equivcheck.report.terminal import print_report

WIDTHS = (80, 120, 200)


def render(report, width=100, encoding="utf-8", *, verbose=False, **options):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    print_report(report, Console(file=file, width=width, **options), verbose=verbose)
    file.flush()
    return raw.getvalue().decode(encoding)


def words(text):
    """The text without its line breaks, indents and runs of blanks."""
    return " ".join(text.split())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("verbose", [False, True])
def test_nothing_that_matters_is_cut_off(report, width, encoding, verbose):
    text = render(report, width, encoding, verbose=verbose)
    assert max(map(cell_len, text.split("\n"))) <= width
    assert not any(line != line.rstrip() for line in text.split("\n"))
    shown = words(text)
    for finding in report.findings:
        assert finding.code in shown
        assert finding.title in shown
        assert words(finding.message) in shown
        if finding.repair:
            assert words(finding.repair.text) in shown
        if finding.location:
            assert str(replace(finding.location, layer=None)) in shown
    for line in ("keras_semantics: '3'", "shuffle: true", "cut: avg_pool", "application: inception_v3"):
        assert line in shown
    assert words(report.cleared[0].message) in shown
    assert "3 errors, 1 warning and 1 note. Learn more: equivcheck explain EQ402" in shown


@pytest.mark.parametrize("width", [1, 10, 20, 40])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_narrow_terminals_get_a_report_too(report, width, encoding):
    assert "EQ402"[:width] in render(report, width, encoding)


def test_order_is_verdict_causes_settings_layers_curves_cleared(report):
    text = render(report)
    assert text.startswith("DIVERGENT  two-class-inception  gap of final validation accuracy −46.9 pp\n")  # noqa: RUF001
    sections = ("Causes", "1.  EQ402", "2.  EQ104", "3.  EQ401", "Warnings", "4.  EQ202", "Notes", "5.  EQ801")
    sections += ("Settings side by side", "Weights", "Where the arms part", "Curves", "Different, but", "3 errors")
    places = [text.index(f"\n{section}") for section in sections]
    assert places == sorted(places)


def test_differing_settings_carry_a_sign(report):
    lines = render(report).split("\n")
    assert [line[:20].split()[1] for line in lines if line.startswith("≠")] == ["order", "labels", "loss", "layer"]
    assert any(line.startswith("!=  labels") for line in render(report, encoding="ascii").split("\n"))


def test_layers_are_folded_to_what_matters(report):
    text = render(report, 120)
    assert re.search(r"… 6 layers +equal", text)
    assert re.search(r"… 39 layers +26 propagated, 13 sources", text)
    assert "first to differ in fit" in text
    assert "source, stochastic" in text
    assert "conv2d_9_bn" not in text
    assert "conv2d_9_bn" in render(report, 120, verbose=True)


def test_run_of_one_layer_is_shown_not_folded(report):
    layers = [replace(layer, role="equal") for layer in report.layers[:4]]
    text = render(replace(report, layers=(*layers, replace(layers[0], name="x", role="source"))), 120)
    assert "… 3 layers" in text
    text = render(replace(report, layers=(*layers[:2], replace(layers[0], name="x", role="source"))), 120)
    assert layers[0].name in text


def test_layer_of_one_arm_only_says_so(report):
    lonely = replace(report.layers[0], bottleneck=None, inference=None, training=None, role=None)
    assert "only in the frozen arm" in words(render(replace(report, layers=(lonely,))))


def test_curves_have_letters_and_final_values(report):
    text = render(report, 80)
    assert "B bottleneck · F frozen · R frozen, all repaired · * several of them" in text
    assert re.search(r"R  frozen, all repaired +96\.9 % +100\.0 %", text)
    assert re.search(r"only EQ402 repaired +81\.3 %", text)
    assert "epoch 10" in text
    drawn = [line for line in text.split("\n") if "│" in line or "┤" in line]
    assert sum(line.count("F") for line in drawn) == 20
    assert "\ntraining loss\n" not in text
    assert "\ntraining loss\n" in render(report, 80, verbose=True)


@pytest.mark.parametrize(
    "values",
    [(0.5,), (1.0, 1.0), (0.0, 0.0), (math.nan, 0.5), (math.nan,), (math.inf, -math.inf), tuple([0.1] * 5000), (57.0,)],
)
@pytest.mark.parametrize("metric", ["val_accuracy", "loss"])
def test_odd_curves_are_drawn(report, values, metric):
    curves = (Curve("bottleneck", metric, values), Curve("frozen", metric, values[:1]))
    assert "final values" in render(replace(report, curves=curves), 80, "ascii")


def test_missing_parts_leave_no_empty_sections():
    text = render(Report(name="x", verdict="equivalent", summary="All is well."))
    assert text == "EQUIVALENT  x\n\nAll is well.\n\nNo errors, no warnings and no notes.\n"


def test_verified_and_share_are_said_in_words(report):
    shown = words(render(report))
    assert "yes: the repair was applied and the finding was gone" in shown
    assert "not tried" in shown
    assert "31.7 pp of the gap of" in shown
    assert "EQ104 and EQ402 act together" in shown
    failed = replace(report, findings=(replace(report.findings[0], verified=False),), attribution=None)
    assert "no: the repair was applied, but the finding was still there" in words(render(failed))


@pytest.mark.parametrize("width", WIDTHS)
def test_the_accounting_adds_up_line_by_line(report, width):
    lines = render(report, width).split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("How the gap divides"))
    assert "validation accuracy, mean over 5 seeds" in lines[start]
    table = [" ".join(re.sub("[█▏]", "", line).split()) for line in lines[start + 1 : start + 9]]
    assert table[:7] == [
        "share 95 % interval",
        "EQ402 batchnorm uses batch statistics −31.7 pp −34.4 pp to −29.1 pp",  # noqa: RUF001
        "EQ104 class sorted batches −9.4 pp −12.1 pp to −7.8 pp",  # noqa: RUF001
        "EQ401 dropout active in backbone −3.2 pp –",  # noqa: RUF001
        "unexplained by these causes −2.6 pp –",  # noqa: RUF001
        "gap, frozen minus bottleneck −46.9 pp –",  # noqa: RUF001
        "",
    ]
    assert table[7].startswith("EQ104 and EQ402 act together: −2.6 pp")  # noqa: RUF001
    bars = ["█" in line or "▏" in line for line in lines[start + 2 : start + 7]]
    assert bars == [width >= 100] * 5


def test_an_accounting_that_is_no_number_is_told_too(report):
    shares = [{**share, "share": math.nan, "low": math.inf} for share in report.attribution["shares"]]
    broken = replace(report, attribution={**report.attribution, "shares": shares, "gap": math.nan})
    assert "gap, frozen minus bottleneck NaN" in words(render(broken, 120))


@pytest.mark.parametrize(
    "log",
    [None, 3, {}, {"metrics": {}}, {"metrics": {"loss": [1]}, "epochs": [10**12], "steps": [], "seconds": []}],
)
def test_observed_that_is_no_log_is_left_out(report, log):
    assert "already have" not in render(replace(report, observed={"frozen": log}))


HOSTILE = "[bold]x[/bold] [/] :smile: \x1b[31mred\x1b[0m \x07\r\u202egnp"


def hostile_report():
    long = "backbone/" + "y" * 10_000 + "/end"
    finding = Finding(
        code="EQ401",
        name=HOSTILE,
        severity="error",
        arm="frozen",
        title=HOSTILE,
        message=f"{HOSTILE} in {long}",
        measured={HOSTILE: HOSTILE},
        expected=HOSTILE,
        repair=Repair(HOSTILE, {"frozen.training.loss": HOSTILE}),
        location=Location(HOSTILE, 1, 2, long),
        verified=True,
    )
    return Report(
        name=HOSTILE + long,
        verdict="divergent",
        summary=HOSTILE,
        findings=(finding,),
        cleared=(Cleared("EQ301", HOSTILE, HOSTILE, {HOSTILE: 1}),),
        skipped=(Skipped("EQ302", HOSTILE),),
        first_divergence=FirstDivergence(training=long),
        settings=(Setting(HOSTILE, HOSTILE, long, differs=True),),
        curves=(Curve(HOSTILE, "val_accuracy", (0.5,)),),
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_foreign_text_is_neither_markup_nor_control(width, encoding):
    text = render(hostile_report(), width, encoding, verbose=True)
    assert re.sub(r"[^\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", "", text) == ""
    assert "[bold]x[/bold]" in text
    assert ":smile:" in text
    assert r"\x1b[31m" in text
    assert r"\u202e" in text
    assert max(map(cell_len, text.split("\n"))) <= width
    assert len(text) < 20_000
    assert "y/end" in text.replace("\n", "").replace(" ", "")


def test_colour_only_where_the_terminal_has_it(report):
    assert "\x1b" not in render(report)
    assert "\x1b[" in render(report, force_terminal=True, color_system="standard")
    plain = render(report, force_terminal=True, no_color=True)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain)


def test_same_report_same_text(report):
    assert render(report, verbose=True) == render(report, verbose=True)
