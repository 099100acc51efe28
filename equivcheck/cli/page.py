"""The page of one check, all of it from what its class says about itself."""

from __future__ import annotations

from inspect import cleandoc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equivcheck.check import Check


def page(check: Check) -> str:
    """Markdown with the same headings for every check."""
    sections = {
        "What it does": cleandoc(check.what),
        "Why it matters": cleandoc(check.why),
        "Shows it": _code(check.shows),
        "Does not": _code(check.clean),
        "How it is measured": cleandoc(check.measured),
        "What it is mistaken for": cleandoc(check.mistaken_for),
        "Repair": cleandoc(check.advice),
        "References": "\n".join(f"- {reference}" for reference in check.references),
    }
    body = "\n".join(f"## {heading}\n\n{text}\n" for heading, text in sections.items())
    return f"# {check.code} {check.name}\n\n{check.title}\n\n{body}"


def _code(text: str) -> str:
    return f"```python\n{cleandoc(text)}\n```"
