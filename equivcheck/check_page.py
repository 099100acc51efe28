"""The page of one check, and the catalogue of all, from what their classes say about themselves."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from equivcheck.check import Check


def catalogue(checks: Sequence[Check]) -> str:
    """Markdown with a table of all checks and the page of each."""
    rows = "\n".join(f"| [{check.code}](#{_anchor(check)}) | {check.name} | {check.title} |" for check in checks)
    contents = f"| code | name | finds |\n|---|---|---|\n{rows}\n"
    return "\n".join(["# Checks\n", contents, *(_lowered(page(check)) for check in checks)])


def page(check: Check) -> str:
    """Markdown with the same headings for every check."""
    return f"# {check.code} {check.name}\n\n{check.title}\n\n{sections(check)}"


def sections(check: Check) -> str:
    """A page without its heading, for whoever shows code, name and title already."""
    told = {
        "What it does": cleandoc(check.what),
        "Why it matters": cleandoc(check.why),
        "Shows it": _code(check.shows),
        "Does not": _code(check.clean),
        "How it is measured": cleandoc(check.measured),
        "What it is mistaken for": cleandoc(check.mistaken_for),
        "Repair": cleandoc(check.advice),
        "References": "\n".join(f"- {reference}" for reference in check.references),
    }
    return "\n".join(f"## {heading}\n\n{text}\n" for heading, text in told.items())


def _anchor(check: Check) -> str:
    """What a renderer makes of the page's heading: lower case, hyphens for spaces."""
    return f"{check.code} {check.name}".lower().replace(" ", "-")


def _lowered(markdown: str) -> str:
    """A page as a part of a larger one: its headings one level down; a comment in its code stays a comment."""
    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else re.sub(r"^#", "##", part, flags=re.MULTILINE) for part in parts)


def _code(text: str) -> str:
    return f"```python\n{cleandoc(text)}\n```"
