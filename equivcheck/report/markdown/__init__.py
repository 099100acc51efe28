"""A report as Markdown: a comment on a pull request, or the summary of a CI step."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from equivcheck.findings import SEVERITIES
from equivcheck.report.finding_words import HEADINGS
from equivcheck.report.markdown.sections import (
    accounting,
    advice,
    cleared,
    finals,
    finding,
    layers,
    phases,
    settings,
    verdict,
)
from equivcheck.report.markdown.text import prose
from equivcheck.report.prose import counted
from equivcheck.report.ranking import of_severity

if TYPE_CHECKING:
    from equivcheck.report.model import Report

__all__ = ["marker", "render"]

#: Characters. GitHub refuses comments of more than 65,536, GitLab of more than a million; some room is left for a
#: bot's own words.
LONGEST = 60_000


def render(report: Report) -> str:
    """The report as Markdown, never longer than ``LONGEST`` characters: what comes last is left out first.

    Its first line is a comment that nobody sees: by it a bot finds its own comment, and replaces it.
    """
    beginning = [marker(report.name), verdict(report), prose(report.summary), finals(report), phases(report)]
    findings = []
    for severity in SEVERITIES:
        chosen = of_severity(report.findings, severity)
        findings += [f"### {HEADINGS[severity]}"] if chosen else []
        findings += [finding(each, report.attribution) for each in chosen]
        findings += [accounting(report)] if severity == "error" and chosen else []
    rest = [advice(report), settings(report), layers(report), cleared(report)]
    return _capped([part for part in (*beginning, *findings, *rest) if part])


def marker(name: str) -> str:
    """The comment that names a report: the same for each run of one spec, another for each spec."""
    # A name could hold the end of a comment.
    return f"<!-- equivcheck:{hashlib.sha256(name.encode('utf-8', 'backslashreplace')).hexdigest()[:16]} -->"


def _capped(parts: list[str]) -> str:
    """The parts, as many as fit; how many do not is said."""
    kept: list[str] = []
    length = 0
    for place, part in enumerate(parts):
        left_out = f"_{counted(len(parts) - place, 'more part')} of this report did not fit here._\n"
        length += len(part) + 2
        if length + len(left_out) > LONGEST:
            return "\n\n".join([*kept, left_out])
        kept.append(part)
    return "\n\n".join(kept) + "\n"
