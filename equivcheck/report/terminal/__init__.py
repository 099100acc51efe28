"""The report on a terminal: the verdict first, then why, then the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.terminal.advice import advice
from equivcheck.report.terminal.causes import findings
from equivcheck.report.terminal.closing import cleared, closing, skipped
from equivcheck.report.terminal.curves import curves
from equivcheck.report.terminal.layers import layers
from equivcheck.report.terminal.observed import observed
from equivcheck.report.terminal.page import Page
from equivcheck.report.terminal.settings import parameters, settings
from equivcheck.report.terminal.verdict import verdict

if TYPE_CHECKING:
    from rich.console import Console

    from equivcheck.report.model import Report

__all__ = ["print_report"]


def print_report(report: Report, console: Console, *, verbose: bool = False) -> None:
    """Prints the whole report.

    Args:
        report: What to print. Nothing in it is taken for markup, and control characters are made visible.
        console: Where to; its width, colours and encoding are respected.
        verbose: Also every layer, the loss curves and all skipped checks.
    """
    page = Page(console)
    verdict(page, report)
    findings(page, report)
    advice(page, report)
    settings(page, report)
    parameters(page, report)
    layers(page, report, everything=verbose)
    curves(page, report, losses=verbose)
    observed(page, report)
    cleared(page, report)
    skipped(page, report, everything=verbose)
    closing(page, report)
