"""The order in which findings are shown: most severe first, then those that make most of the gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equivcheck.findings import SEVERITIES, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, warnings, notes; within each the larger share first, those without a share last."""
    return sorted(
        findings, key=lambda finding: (SEVERITIES.index(finding.severity), -abs(finding.share or 0), finding.code)
    )


def of_severity(findings: Sequence[Finding], severity: Severity) -> list[Finding]:
    """The findings of one severity, ranked."""
    return ranked(finding for finding in findings if finding.severity == severity)
