"""Foreign text in Markdown: nothing in it becomes a heading, a link, an image, HTML or a mention."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from equivcheck.report.visible import shortened, shortened_words, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a backslash takes the meaning from, in any place of a line.
_SPECIAL = re.compile(r"[\\`*_\[\]|~$]")

#: What begins a heading, a list item or a rule at the start of a line: ``# a``, ``- a``, ``1. a``, ``===``.
_BEGINNING = re.compile(r"^(\s*)([-+=#]|\d+(?=[.)]))", re.MULTILINE)

#: People, teams and issues of the code host, which a comment would notify or link.
_MENTION = re.compile(r"([@#])(?=\w)")

#: Code as the checks write it: between single backticks, on one line.
_CODE = re.compile(r"`([^`\n]+)`")

#: Characters of a text; what is longer is no sentence.
_LONGEST_TEXT = 4_000


def prose(text: str) -> str:
    """Sentences; what stands between backticks stays code, line breaks stay line breaks."""
    shown = shortened(shortened_words(visible(text, keep_lines=True)), _LONGEST_TEXT)
    parts = _CODE.split(shown)
    # Text and code take turns, because the pattern has one group.
    told = [_code_span(part) if place % 2 else _escaped(part) for place, part in enumerate(parts)]
    return "".join(told).replace("\n", "<br>\n")


def line(text: str) -> str:
    """The same on one line, for headings and the cells of a table."""
    return prose(" ".join(text.split()))


def name(text: str) -> str:
    """A name, path or value as code."""
    return _code_span(shortened(visible(text)).replace("`", "'")) if text else ""


def block(text: str, language: str) -> str:
    """Lines to copy, in a fence that is longer than any in them."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{visible(text, keep_lines=True)}\n{fence}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[int] = ()) -> str:
    """A table; the columns whose places are in ``numeric`` stand on the right. The cells are Markdown already."""
    marks = ["--:" if place in numeric else "---" for place in range(len(headers))]
    lines = [headers, marks, *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def folded(summary: str, body: str) -> str:
    """A part that opens on a click; blank lines, so that Markdown in it is read as such."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MENTION.sub("\\1\N{ZERO WIDTH SPACE}", text)
    return _BEGINNING.sub(_harmless_beginning, _SPECIAL.sub(r"\\\g<0>", text))


def _harmless_beginning(match: re.Match[str]) -> str:
    blank, sign = match.groups()
    # A digit takes no backslash; behind an entity the full stop is no list's.
    return f"{blank}&#{ord(sign[0])};{sign[1:]}" if sign.isdigit() else f"{blank}\\{sign}"


def _code_span(text: str) -> str:
    # A pipe ends a cell even in code. A backslash before it would show outside of a table, an entity in code.
    return f"`{text}`" if "|" not in text else f"<code>{_html(text)}</code>"


def _html(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;")
    return re.sub(r"[\\`*_\[\]~$]", lambda match: f"&#{ord(match[0])};", text)
