"""Makes foreign text safe to show: control characters visible, very long words shortened, ASCII where needed.

Names, paths and messages come from specs, data and user code. Printed as they are, an escape sequence in a class
name could repaint a terminal and a right-to-left override could reorder a line.
"""

from __future__ import annotations

import re
import unicodedata

#: No layer path, file path or number that a person reads is longer; what is longer is told by its two ends.
LONGEST_WORD = 160

#: Categories of characters that draw nothing or move what is drawn: controls, formats, surrogates, separators.
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}

#: What an ASCII terminal shows for the signs that this package and the checks write.
_ASCII = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "─": "-",
        "│": "|",
        "└": "+",
        "┤": "+",
        "…": "...",
        "·": "|",
        "≠": "!=",
        "≈": "~",
        "≤": "<=",
        "≥": ">=",
        "±": "+-",
        "\N{MULTIPLICATION SIGN}": "x",
        "→": "->",
        "“": '"',
        "”": '"',
        "„": '"',
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{NO-BREAK SPACE}": " ",
    }
)


def visible(text: str, *, keep_lines: bool = False) -> str:
    r"""The text with every character that draws nothing written as an escape, such as ``\x1b``.

    Args:
        text: Text of any origin.
        keep_lines: Line breaks stay line breaks, and a tab becomes four spaces.

    Returns:
        Text that shows all it contains.
    """
    if keep_lines:
        text = text.replace("\r\n", "\n").replace("\t", "    ")
    return "".join(
        _escape(character) if _is_invisible(character) and not (keep_lines and character == "\n") else character
        for character in text
    )


def shortened(text: str, limit: int = LONGEST_WORD) -> str:
    """The text, or its two ends where it is longer than ``limit`` characters: ``backbone/mixed…/conv2d``."""
    if len(text) <= limit:
        return text
    half = (limit - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def shortened_words(text: str) -> str:
    """The text with each overlong word shortened; the rest keeps its spaces and lines."""
    return re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda match: shortened(match[0]), text)


def in_ascii(text: str) -> str:
    r"""The text in ASCII: known signs by a likeness, all other characters as escapes such as ``\u4e2d``."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def _is_invisible(character: str) -> bool:
    # The last two code points of each plane are no characters, and XML refuses some of them.
    return unicodedata.category(character) in _INVISIBLE or ord(character) & 0xFFFE == 0xFFFE  # noqa: PLR2004


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
