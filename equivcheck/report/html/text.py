"""Foreign text in HTML: escaped, with its control characters visible and its longest words shortened."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from equivcheck.report.visible import shortened, shortened_words, visible

#: Code as the checks write it: between single backticks, on one line.
_CODE = re.compile(r"`([^`\n]+)`")

#: Characters of a text; what is longer is no sentence.
_LONGEST_TEXT = 6_000


def prose(text: str) -> Markup:
    """Sentences; what stands between backticks is code. Line breaks stay, which the page's style shows."""
    shown = shortened(shortened_words(visible(text, keep_lines=True)), _LONGEST_TEXT)
    # Text and code take turns, because the pattern has one group.
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(_CODE.split(shown))
    )


def word(text: str) -> str:
    """A name, path or value on one line, its middle left out where it is very long; not escaped yet."""
    return shortened(visible(text))


def block(text: str) -> str:
    """Lines to copy: nothing is left out; not escaped yet."""
    return visible(text, keep_lines=True)
