"""What each arm did, side by side, and its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.report.numbers import number

if TYPE_CHECKING:
    from equivcheck.report.model import Report
    from equivcheck.report.terminal.page import Page


def settings(page: Page, report: Report) -> None:
    """Writes the settings of both arms; a sign in the first column marks those that differ."""
    if not report.settings:
        return
    page.heading("Settings side by side (≠ differs)")
    table = page.table("", "setting", "bottleneck", "frozen")
    for setting in report.settings:
        style = "bold" if setting.differs else "dim"
        table.add_row(
            page.prose("≠" if setting.differs else "", "bold red"),
            page.name(setting.name, style),
            page.name(setting.bottleneck, style),
            page.name(setting.frozen if setting.frozen != setting.bottleneck else "the same", style),
        )
    page.write(table)


def parameters(page: Page, report: Report) -> None:
    """Writes how many weights each arm declares trainable, and how many one real step moved."""
    if not report.parameters:
        return
    page.heading("Weights (moved: changed by one real training step)")
    counts = ("trainable", "frozen", "moved")
    table = page.table("arm", *counts, numeric=counts)
    for arm, count in report.parameters.items():
        table.add_row(page.name(arm), *(page.prose(number(getattr(count, kind))) for kind in counts))
    page.write(table)
