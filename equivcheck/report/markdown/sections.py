"""The parts of the Markdown report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report import advice as advice_words
from equivcheck.report.accounting import interval, remarks, steps, subject
from equivcheck.report.curve_gap import METRIC_NAMES, headline
from equivcheck.report.curve_names import final, name_of
from equivcheck.report.finding_words import VERIFIED, arm_of, in_file, patch_of, place_of, share_of
from equivcheck.report.folding import Folded, folded
from equivcheck.report.layer_words import notes, parting, role
from equivcheck.report.markdown import text
from equivcheck.report.numbers import ABSENT, measured, metric_share, number, points
from equivcheck.report.phase_words import differing, end_metrics, ends, in_phases
from equivcheck.report.prose import counted

if TYPE_CHECKING:
    from equivcheck.findings import Finding
    from equivcheck.measured import Attribution, LayerRow
    from equivcheck.report.model import Report

#: Layers in the table; a network has hundreds.
_MOST_LAYERS = 40


def verdict(report: Report) -> str:
    """The heading."""
    found = headline(report.curves)
    last = f"\n\nGap of final {METRIC_NAMES[found.metric]}: **{points(100 * found.final)}**" if found else ""
    return f"## equivcheck: {report.verdict.upper()} · {text.name(report.name)}{last}"


def finals(report: Report) -> str:
    """The final values of all curves."""
    metrics = [metric for metric in METRIC_NAMES if any(curve.metric == metric for curve in report.curves)]
    if not metrics:
        return ""
    rows = [
        [text.line(name_of(arm)), *(final(report.curves, arm, metric) for metric in metrics)]
        for arm in dict.fromkeys(curve.arm for curve in report.curves)
    ]
    headers = ["final values", *(METRIC_NAMES[metric] for metric in metrics)]
    return text.table(headers, rows, range(1, len(headers)))


def phases(report: Report) -> str:
    """What each phase came to, and what the frozen arm trains in it."""
    if not report.phases:
        return ""
    metrics = end_metrics(report)
    rows = [[text.line(name), each, arm, *values] for name, each, arm, values in ends(report)]
    headers = ["at the end of phase", "", "arm", *(METRIC_NAMES[metric] for metric in metrics)]
    first = text.table(headers, rows, range(3, len(headers)))
    trained = [[text.line(name), moved, live, text.name(parting)] for name, moved, live, parting in differing(report)]
    headers = ["frozen arm in phase", "scalars moved by one step", "layers on batch statistics", "arms part in fit at"]
    return f"{first}\n\n{text.table(headers, trained, (1, 2))}"


def finding(found: Finding, attribution: Attribution | None) -> str:
    """One finding: what it is and how to undo it are open, the evidence is folded."""
    place = place_of(found)
    where = [text.line(arm_of(found)), *(text.name(part) for part in (in_file(found), place.layer) if part)]
    parts = [f"#### {text.line(found.code)} {text.line(found.title)}", " · ".join(where)]
    if share := share_of(found, attribution):
        parts.append(f"**Share:** {share}")
    parts.append(text.prose(found.message))
    if found.repair:
        parts.append(f"**Repair:** {text.prose(found.repair.text)}")
        if patch := patch_of(found):
            parts.append(text.block(patch, "yaml"))
        parts.append(f"Verified: {VERIFIED[found.verified]}")
    evidence = [f"- expected: {text.line(found.expected)}"]
    if found.measured:
        evidence.insert(0, f"- measured: {text.line(measured(found.measured))}")
    parts.append(text.folded("Evidence", "\n".join(evidence)))
    return "\n\n".join(parts)


def accounting(report: Report) -> str:
    """The waterfall as a table."""
    found = report.attribution
    if found is None:
        return ""
    rows = []
    for step in steps(found, report.findings):
        label, share = text.line(f"{step.code} {step.name}".strip()), metric_share(found["metric"], step.share)
        strong = "**" if step.kind == "gap" else ""
        known = (
            ABSENT if value is None else metric_share(found["metric"], value) for value in (step.alone, step.repaired)
        )
        rows.append([f"{strong}{label}{strong}", f"{strong}{share}{strong}", interval(found["metric"], step), *known])
    headers = ("", "share", "95 % interval", "alone", "gone if only it is repaired")
    return "\n\n".join(
        [
            f"### How the gap divides ({text.line(subject(found))})",
            text.table(headers, rows, range(1, 5)),
            *map(text.prose, remarks(found)),
        ]
    )


def advice(report: Report) -> str:
    """What came of following each advice."""
    if not report.what_if:
        return ""
    rows = []
    for found in report.what_if:
        said, *numbers = advice_words.cells(found)
        rows.append([text.line(said), *numbers])
    remarks = "\n".join(f"- {text.line(remark)}" for remark in advice_words.remarks(report.what_if))
    return "\n\n".join(
        [
            f"### {advice_words.HEADING}",
            text.prose(advice_words.subject(report.what_if)),
            text.table(advice_words.HEADERS, rows, range(2, len(advice_words.HEADERS))),
            remarks,
        ]
    )


def settings(report: Report) -> str:
    """The settings that differ; the others are folded."""
    if not report.settings:
        return ""
    rows: dict[bool, list[list[str]]] = {True: [], False: []}
    for setting in report.settings:
        rows[setting.differs].append([text.line(part) for part in (setting.name, setting.bottleneck, setting.frozen)])
    headers = ("setting", "bottleneck", "frozen")
    parts = ["### Settings that differ", text.table(headers, rows[True]) if rows[True] else "None."]
    if rows[False]:
        parts.append(text.folded(f"{counted(len(rows[False]), 'setting')} the same", text.table(headers, rows[False])))
    return "\n\n".join(parts)


def layers(report: Report) -> str:
    """Where the arms part, and the layers that tell it."""
    if not any(row.inference or row.training for row in report.layers):
        return ""
    rows = [_layer(row, report) for row in folded(report)]
    if len(rows) > _MOST_LAYERS:
        left = len(rows) - _MOST_LAYERS
        rows = [*rows[:_MOST_LAYERS], [f"… {left} more lines", "", "", "", "see the HTML or JSON report"]]
    headers = ("layer", "kind", "relative difference in inference", "in fit", "role")
    return "\n\n".join(
        [
            "### Where the arms part",
            text.prose(parting(report)),
            text.folded(counted(len(report.layers), "layer"), text.table(headers, rows, (2, 3))),
        ]
    )


def _layer(row: LayerRow | Folded, report: Report) -> list[str]:
    if isinstance(row, Folded):
        return [f"… {row.count} layers", "", "", "", row.roles]
    gaps = (number(gap.max_rel) if gap else ABSENT for gap in (row.inference, row.training))
    said = role(row)
    strong = "**" if said == "source" else ""
    return [
        text.name(row.name),
        text.line(row.kind),
        *gaps,
        ", ".join([f"{strong}{said}{strong}", *notes(row, report)]),
    ]


def cleared(report: Report) -> str:
    """The differences that were measured and found harmless."""
    if not report.cleared:
        return ""
    rows = [
        f"- **{text.line(each.code + in_phases(each.phases))}** {text.line(each.message)}" for each in report.cleared
    ]
    return "\n".join(["### Different, but measured to be harmless", "", *rows])
