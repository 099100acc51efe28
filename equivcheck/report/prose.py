"""Parts of sentences that several renderers build."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A full stop ends a sentence where a capital or a code follows; "e.g. this" goes on.
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'(])")


def counted(count: int, noun: str) -> str:
    """``1 layer``, ``2 layers``, ``no layers``."""
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def listed(parts: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def first_sentence(text: str) -> str:
    """The first sentence of a text, without its full stop."""
    return " ".join(_SENTENCE_END.split(text.strip(), maxsplit=1)[0].split()).rstrip(".")
