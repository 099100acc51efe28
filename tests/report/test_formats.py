"""What holds for every format: any report can be shown, and nothing foreign in it is taken for markup."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from equivcheck.findings import Cleared, Finding, Repair, Skipped
from equivcheck.location import Location
from equivcheck.measured import Curve, Distance, FirstDivergence, LayerRow, ParameterCount, Setting, TrainingFlag
from equivcheck.report.formats import TEXT_FORMATS, format_of, render
from equivcheck.report.json_format import dumps, loads
from equivcheck.report.model import Report
from equivcheck.report.terminal import print_report

FORMATS = (*TEXT_FORMATS, "terminal")

PAYLOADS = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)> '>",
    "]]> --> <!-- &amp; &#60;",
    "{{ 7 * 7 }} {% raw %} {0} ${x}",
    "[link](https://example.com) ![](https://example.com/x.png) | a | b |",
    "# heading\n- item\n1. item\n===\n```\n~~~ @team #12",
    "</details></summary></style></title>`code` `<b>`",
    "\x1b[31mred\x1b[0m \x07\x00\r\u202egnp \ud800 \ufffe \uffff \u2028",
    "::error file=x::y%0A, [bold]x[/bold]",
)
HOSTILE = " ".join(PAYLOADS)


def shown(report, form):
    if form != "terminal":
        return render(report, form)
    file = io.StringIO()
    print_report(report, Console(file=file, width=100), verbose=True)
    return file.getvalue()


def hostile(text=HOSTILE):
    """A report in which every string is foreign."""
    layer = LayerRow(text, text, text, text, None, None, TrainingFlag(), True, True, True, True, None, text)  # noqa: FBT003
    log = {"source": text, "format": text, "epochs": [1], "metrics": {"loss": [1.0], text: [1.0]}}
    finding = Finding(
        code=text,
        name=text,
        severity="error",
        arm="frozen",
        title=text,
        message=text,
        measured={text: text, "b": math.nan, "c": [text], "d": {text: None}},
        expected=text,
        repair=Repair(text, {text: text, "frozen.training.loss": text}),
        location=Location(text, 1, 2, text),
        share=-1.0,
    )
    share = {"code": text, "share": -1.0, "low": None, "high": None, "alone": None, "repaired": None}
    return Report(
        name=text,
        verdict="divergent",
        summary=text,
        findings=(finding, replace(finding, severity="warning", location=Location(f"/{text}"))),
        cleared=(Cleared(text, text, text, {text: text}),),
        skipped=(Skipped(text, text),),
        layers=(layer, replace(layer, inference=Distance(1, 1, 1), role="source"), replace(layer, name=f"a/{text}")),
        first_divergence=FirstDivergence(text, text),
        parameters={text: ParameterCount(1, 2, 3)},
        curves=(Curve(text, "val_accuracy", (0.5,)), Curve("frozen", "val_accuracy", (0.5,)), Curve("x", text, (1.0,))),
        attribution={
            "metric": text,
            "gap": -1.0,
            "shares": [share],
            "interactions": [{"codes": [text, text], "share": 1.0}],
            "residual": 0.0,
            "repetitions": 1,
            "smallest": [text],
            "curves": [],
            "missing": text,
        },
        observed={"frozen": {**log, "steps": [text], "seconds": [None]}, "bottleneck": text},
        versions={text: text, "equivcheck": text},
        machine={text: text},
        settings=(Setting(text, text, text, differs=True),),
        seconds={text: 1.0},
    )


class Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        """Called by the parser."""
        self.found.append((tag, dict(attributes)))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("text", [HOSTILE, *PAYLOADS, "", "y" * 10_000, "a/" * 5_000])
def test_foreign_text_is_shown_and_harmless(form, text):
    page = shown(hostile(text), form)
    page.encode("utf-8")
    assert re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202a-\u202e\ufffe\uffff]", page) == []
    # The JSON keeps what it is given; all others shorten what nobody could read.
    assert len(page) < 200_000 or form in {"json", "junit", "sarif"}


def test_foreign_text_adds_no_element_to_a_page():
    elements = Elements(shown(hostile(), "html")).found
    plain = Elements(shown(hostile("plain"), "html")).found
    assert {tag for tag, _ in elements} <= {tag for tag, _ in plain} | {"code"}
    assert [tag for tag, _ in elements].count("script") == 1
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]
    assert not [attributes for _, attributes in elements if "style" in attributes or "src" in attributes]
    links = [value for _, attributes in elements for name, value in attributes.items() if name == "href"]
    assert all(link.startswith("#") or link == "data:," for link in links)


def test_foreign_text_adds_no_element_to_markdown():
    from markdown_it import MarkdownIt

    def elements(report):
        # html=True, as on a code host: what gets through the escapes would be an element.
        tags = Elements(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(render(report, "markdown")))
        return [tag for tag, _ in tags.found if tag not in {"p", "br", "code"}]

    assert elements(hostile()) == elements(hostile("plain"))


def test_nobody_is_notified_by_a_comment():
    text = render(hostile("@team and #12"), "markdown")
    assert not re.search(r"(?<!`)[@#](?=\w)", re.sub(r"`[^`]*`", "", text))


def test_foreign_text_stays_in_its_place_in_xml_and_json():
    root = ET.fromstring(render(hostile(), "junit"))  # noqa: S314  (ours)
    assert "<script>alert(1)</script>" in root.find(".//failure").text
    run = json.loads(render(hostile(), "sarif"))["runs"][0]
    assert "<script>" in run["results"][0]["message"]["text"]


def odd_reports(report):
    share = report.attribution["shares"][0]
    nan = math.nan
    return {
        "nothing": Report(name="x", verdict="inconclusive", summary=""),
        "only a name": Report(name="", verdict="equivalent", summary="All is well."),
        "nan curves": replace(report, curves=(Curve("frozen", "loss", (nan, math.inf)), Curve("x", "loss", (nan,)))),
        "zero epochs": replace(report, curves=(Curve("frozen", "loss", ()), Curve("bottleneck", "accuracy", ()))),
        "one epoch": replace(report, curves=(Curve("frozen", "val_accuracy", (1.0,)),)),
        "constant": replace(report, curves=(Curve("frozen", "loss", (0.0,) * 9), Curve("frozen", "accuracy", (1.0,)))),
        "tiny": replace(report, curves=(Curve("frozen", "loss", (5e-324, 0.0)),)),
        "huge": replace(report, curves=(Curve("frozen", "loss", (1e308, -1e308)), Curve("frozen", "accuracy", (9.0,)))),
        "many epochs": replace(report, curves=(Curve("frozen", "loss", tuple(map(float, range(50_000)))),)),
        "no attribution": replace(report, attribution=None),
        "attribution without findings": replace(report, findings=()),
        "empty attribution": replace(
            report, attribution={**report.attribution, "shares": [], "gap": 0.0, "residual": 0}
        ),
        "nan attribution": replace(report, attribution={**report.attribution, "gap": nan, "residual": math.inf}),
        "nan share": replace(report, attribution={**report.attribution, "shares": [{**share, "share": nan}]}),
        "nothing compared": replace(
            report, layers=tuple(replace(row, inference=None, training=None, role=None) for row in report.layers)
        ),
        "no findings": replace(report, findings=(), verdict="divergent"),
        "bad patches": replace(
            report,
            findings=tuple(
                replace(report.findings[0], repair=Repair("x", patch))
                for patch in ({"a": 1, "a.b": 2}, {"": 1}, {"a..b": nan}, {"a.0.b": None})
            ),
        ),
        "same layer twice": replace(report, layers=(*report.layers, *report.layers)),
        "a layer that holds layers": replace(
            report, layers=(replace(report.layers[0], name="a"), replace(report.layers[0], name="a/b"))
        ),
    }


@pytest.mark.parametrize("form", FORMATS)
def test_odd_reports_are_shown_too(report, form):
    for name, odd in odd_reports(report).items():
        text = shown(odd, form)
        assert text.endswith("\n"), name
        if form == "junit":
            ET.fromstring(text)  # noqa: S314  (ours)
        if form in {"json", "sarif"}:
            json.loads(text)
        if form == "html":
            assert "NaN" not in "".join(re.findall(r' (?:d|x|y|cx|cy|width)="([^"]*)"', text)), name
            assert "inf" not in "".join(re.findall(r' (?:d|x|y|cx|cy|width)="([^"]*)"', text)), name
            assert len(text) < 200_000, name


@pytest.mark.parametrize("form", FORMATS)
def test_the_report_read_back_looks_the_same(report, form):
    assert shown(loads(dumps(report)), form) == shown(report, form)


def test_a_network_of_hundreds_of_layers_stays_small(report):
    row = report.layers[8]
    long = "inception_resnet_v2_with_a_long_name/block_{}_of_many/conv2d_{}_batch_normalization"
    layers = tuple(replace(row, name=long.format(place // 10, place)) for place in range(1_500))
    page = render(replace(report, layers=layers), "html")
    assert len(page.encode()) < 500_000
    assert "400 layers more" in page
    assert len(render(replace(report, layers=layers), "markdown")) < 65_536


def test_markdown_is_capped_and_says_so(report):
    many = replace(report, findings=tuple(replace(report.findings[0], message="word " * 700) for _ in range(100)))
    text = render(many, "markdown")
    assert len(text) < 65_536
    assert "more parts of this report did not fit here" in text
    assert text.startswith("<!-- equivcheck:")


def test_the_marker_is_that_of_the_spec(report):
    first = render(report, "markdown").splitlines()[0]
    assert first == render(replace(report, findings=()), "markdown").splitlines()[0]
    assert first != render(replace(report, name="other --> x"), "markdown").splitlines()[0]
    assert re.fullmatch(r"<!-- equivcheck:[0-9a-f]{16} -->", first)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.json", "json"),
        ("a.HTML", "html"),
        ("a.md", "markdown"),
        ("a.xml", "junit"),
        ("a.sarif", "sarif"),
        ("a.sarif.json", "sarif"),
        ("folder.json/a", None),
        ("a.txt", None),
    ],
)
def test_the_suffix_names_the_format(name, form):
    assert format_of(name) == form
