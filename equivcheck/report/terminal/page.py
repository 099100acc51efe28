"""The paper that the sections are written on: safe text, headings and tables that cut nothing off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.constrain import Constrain
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from equivcheck.report.visible import in_ascii, shortened, shortened_words, visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

#: Columns. The eye loses its line in longer ones, however wide the terminal is.
_READABLE = 110


class Page:
    """One console, and how strings of any origin become text that it can show.

    Attributes:
        width: Columns.
        ascii_only: The console's encoding has no more than ASCII.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.width = console.width
        self.ascii_only = console.options.ascii_only

    def prose(self, text: str, style: str = "") -> Text:
        """Sentences; line breaks stay."""
        return self._text(shortened_words(visible(text, keep_lines=True)), style)

    def name(self, text: str, style: str = "") -> Text:
        """A name, path or value on one line, its middle left out where it is very long."""
        return self._text(shortened(visible(text)), style)

    def verbatim(self, text: str, style: str = "") -> Text:
        """Lines to copy: nothing is left out."""
        return self._text(visible(text, keep_lines=True), style)

    def _text(self, text: str, style: str) -> Text:
        return Text(in_ascii(text) if self.ascii_only else text, style, overflow="fold")

    def heading(self, title: str) -> None:
        """A blank line and a section's title."""
        self.blank()
        text = self.prose(title, "bold")
        # A rule cuts off a title that is too long for it.
        fits = text.cell_len + 2 <= self.width
        self.write(Rule(text, align="left", style="dim") if fits else text)

    def write(self, content: RenderableType, indent: int = 0) -> None:
        """One block, wrapped to the width, without blanks at the ends of its lines."""
        self._console.print(_Trimmed(Padding(content, (0, 0, 0, indent))))

    def paragraph(self, text: str, style: str = "", indent: int = 0) -> None:
        """Sentences in lines that are short enough to read."""
        self.write(Constrain(self.prose(text, style), _READABLE), indent)

    def blank(self) -> None:
        """An empty line."""
        self._console.print()

    def labelled(self, rows: list[tuple[str, Text]]) -> Table:
        """Labels on the left, their text on the right."""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for label, text in rows:
            grid.add_row(self.prose(label, "bold"), text)
        return grid

    def table(self, *headers: str, numeric: tuple[str, ...] = ()) -> Table:
        """An empty table whose cells wrap; the columns named in ``numeric`` stand on the right and stay whole."""
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        for header in headers:
            right = header in numeric
            table.add_column(
                self.prose(header), justify="right" if right else "left", no_wrap=right, overflow="fold", vertical="top"
            )
        return table


class _Trimmed:
    """Takes the padding away that fills lines up to the width: pipes and diffs do not want it."""

    def __init__(self, content: RenderableType) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(self._content, options, pad=False):
            while line and not line[-1].text.strip():
                line.pop()
            if line:
                last = line.pop()
                yield from line
                yield Segment(last.text.rstrip(), last.style)
            yield Segment.line()
