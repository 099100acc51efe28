"""The accounting as a waterfall: each line begins where the one above ends, and the last is the whole gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.accounting import extent, interval, remarks, steps, subject
from equivcheck.report.numbers import metric_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equivcheck.findings import Finding
    from equivcheck.measured import Attribution
    from equivcheck.report.accounting import Step
    from equivcheck.report.terminal.page import Page

#: From this width on there is room for bars.
_WIDE = 100
_BAR = 30


def accounting(page: Page, found: Attribution, findings: Sequence[Finding]) -> None:
    """Writes each cause's share of the gap with its interval, what none explains, and what causes make together."""
    page.heading(f"How the gap divides ({subject(found)})")
    told = steps(found, findings)
    scale = extent(told) if page.width >= _WIDE else None
    headers = ("", "share", "95 % interval", *(("",) if scale else ()))
    table = page.table(*headers, numeric=("share", "95 % interval"))
    for step in told:
        style = "bold" if step.kind == "gap" else ""
        cells = [
            page.name(f"{step.code} {step.name}".strip(), style),
            page.prose(metric_share(found["metric"], step.share), style),
            page.prose(interval(found["metric"], step)),
        ]
        if scale:
            cells.append(page.verbatim(_bar(step, scale, ascii_only=page.ascii_only), style))
        table.add_row(*cells)
    page.write(table)
    page.blank()
    for remark in remarks(found):
        page.paragraph(remark)


def _bar(step: Step, scale: tuple[float, float], *, ascii_only: bool) -> str:
    low, high = scale
    ends = sorted(round((end - low) / (high - low) * _BAR) for end in (step.start, step.end))
    if ends[0] == ends[1]:
        # Too small for a bar, but it has a place.
        return " " * min(ends[0], _BAR - 1) + ("|" if ascii_only else "▏")
    return " " * ends[0] + ("#" if ascii_only else "█") * (ends[1] - ends[0])
