"""A report as one HTML file: it loads nothing, and nothing in it can run but its own script."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from equivcheck.findings import SEVERITIES
from equivcheck.report import accounting, advice, finding_words, layer_words
from equivcheck.report.curve_gap import METRIC_NAMES, headline
from equivcheck.report.curve_names import DRAWN, final, name_of
from equivcheck.report.html.charts import charts, legend
from equivcheck.report.html.text import block, prose, word
from equivcheck.report.html.tree import tree
from equivcheck.report.html.waterfall import bars
from equivcheck.report.numbers import ABSENT, measured, metric_share, number, points
from equivcheck.report.observed_facts import FACTS, curves_of, logs_of, remarks
from equivcheck.report.observed_facts import final as final_of_log
from equivcheck.report.phase_words import differing, end_metrics, ends, in_phases, marks
from equivcheck.report.prose import counted
from equivcheck.report.ranking import of_severity

if TYPE_CHECKING:
    from equivcheck.report.model import Report

__all__ = ["render"]


def render(report: Report) -> str:
    """The report as HTML. The same report gives the same text, byte for byte."""
    environment = Environment(
        loader=PackageLoader("equivcheck.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "prose": prose,
        "word": word,
        "block": block,
        "number": number,
        "points": points,
        "measured": measured,
    }
    folder = files("equivcheck.report.html")
    style, script = (folder.joinpath("templates", name).read_text("utf-8") for name in ("page.css", "page.js"))
    return environment.get_template("page.html.jinja").render(
        report=report,
        # Both are ours; their hashes are all that the page's policy lets in.
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        style_hash=_hash(style),
        script_hash=_hash(script),
        absent=ABSENT,
        counted=counted,
        words=finding_words,
        in_phases=in_phases,
        layer_words=layer_words,
        gap=headline(report.curves),
        metric_names=METRIC_NAMES,
        findings=[(severity, chosen) for severity in SEVERITIES if (chosen := of_severity(report.findings, severity))],
        charts=charts(report.curves, marks(report.phases)),
        legend=legend,
        finals=_finals(report),
        phases=_phases(report),
        accounting=_accounting(report),
        advice=advice,
        tree=tree(report),
        compared=any(row.inference or row.training for row in report.layers),
        observed=_observed(report),
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _finals(report: Report) -> dict[str, Any]:
    """The table below the curves: an arm a row, a metric a column."""
    metrics = [metric for metric in METRIC_NAMES if any(curve.metric == metric for curve in report.curves)]
    arms = list(dict.fromkeys(curve.arm for curve in report.curves))
    return {
        "metrics": [METRIC_NAMES[metric] for metric in metrics],
        "rows": [
            (arm if arm in DRAWN else "", name_of(arm), [final(report.curves, arm, metric) for metric in metrics])
            for arm in arms
        ],
    }


def _phases(report: Report) -> dict[str, Any] | None:
    """What each phase came to, and what the frozen arm trains in it."""
    if not report.phases:
        return None
    return {
        "metrics": [METRIC_NAMES[metric] for metric in end_metrics(report)],
        "rows": ends(report),
        "measured": differing(report),
    }


def _accounting(report: Report) -> dict[str, Any] | None:
    found = report.attribution
    if found is None:
        return None
    metric, steps = found["metric"], accounting.steps(found, report.findings)
    return {
        "subject": accounting.subject(found),
        "remarks": accounting.remarks(found),
        "rows": [
            {
                "step": step,
                "bar": bar,
                "share": metric_share(metric, step.share),
                "interval": accounting.interval(metric, step),
                "alone": accounting.told(metric, step.alone),
                "repaired": accounting.told(metric, step.repaired),
            }
            for step, bar in zip(steps, bars(steps), strict=True)
        ],
    }


def _observed(report: Report) -> dict[str, Any] | None:
    logs = logs_of(report)
    if not logs:
        return None
    rows = [(label, [fact(log) for log in logs.values()]) for label, fact in FACTS.items()]
    rows += [
        (f"final {name}", [final_of_log(log, metric) for log in logs.values()])
        for metric, name in METRIC_NAMES.items()
        if any(metric in log["metrics"] for log in logs.values())
    ]
    told = [curve for arm, log in logs.items() for curve in curves_of(arm, log)]
    said = [f"{arm}: {remark}." for arm, log in logs.items() for remark in remarks(log)]
    return {"arms": list(logs), "rows": rows, "charts": charts(told), "remarks": said}
