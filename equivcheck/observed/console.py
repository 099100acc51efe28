"""Console logs of any Keras: progress bars, one line an epoch, redrawn lines, quoted and translated copies."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from equivcheck.errors import InputError
from equivcheck.measured import LeftOut, ObservedLog
from equivcheck.observed.epochs import Epoch, log_of
from equivcheck.observed.numerals import NUMERAL, Numeral, numeral
from equivcheck.observed.words import EPOCH, metric_name

#: Colours and cursor movements; Keras 3 writes them around each part of its bar.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.")
#: A bar is drawn over itself with backspaces or a carriage return; copies from web pages have tags for line ends.
_REDRAWN = re.compile(r"[\r\b]+|<br\s*/?>|</(?:p|div|li|tr)>", re.IGNORECASE)
_TAGS = re.compile(r"</?[a-zA-Z][^<>]*>")
_COUNTS = re.compile(r"Train on (\d+) samples(?:, validate on (\d+) samples)?", re.IGNORECASE)
_TOKENS = re.compile(
    r"(?<![^\W\d_])(?P<word>[^\W\d_]+)\s*(?P<epoch>\d+)\s*/\s*(?P<planned>\d+)"
    r"|(?P<eta>ETA\s*:\s*[\d:]+s?)"
    r"|(?<![\d/])(?P<step>\d+)\s*/\s*(?P<total>\d+|Unknown)(?![\d/])"
    rf"|(?<!\w)(?P<name>[^\W\d]\w*)\s*:\s*(?P<value>{NUMERAL})"
    r"|(?<![\w.:/])(?P<seconds>\d+(?:\.\d+)?)\s?s(?![\w/])",
    re.IGNORECASE,
)


def read_console(text: str, source: str) -> ObservedLog:
    """Reads a console log.

    Raises:
        InputError: It tells of no epoch, or of more than one training.
    """
    reader = _Reader(source)
    counts: tuple[int | None, int | None] = (None, None)
    for number, line in enumerate(text.split("\n"), start=1):
        if found := _COUNTS.search(line):
            counts = (int(found[1]), int(found[2]) if found[2] else None)
        for drawn in _drawings(line):
            reader.read(drawn, number)
    epochs = reader.epochs()
    if not epochs:
        raise InputError(
            f"{source}: tells of no epoch; expected lines of a Keras console log such as "
            '"16/16 [====] - 3s - loss: 0.6 - acc: 0.5 - val_loss: 0.7 - val_acc: 0.5"'
        )
    return log_of(epochs, source, "console", planned_epochs=reader.planned, samples=counts, left_out=reader.left_out)


def _drawings(line: str) -> Iterator[str]:
    """What stood in one line, one after the other."""
    for drawn in _REDRAWN.split(_ESCAPES.sub("", line)):
        yield html.unescape(_TAGS.sub(" ", drawn))


@dataclass
class _Drawing:
    """One state of one progress bar."""

    step: int | None = None
    total: int | None = None
    seconds: float | None = None
    values: dict[str, Numeral] = field(default_factory=dict)


@dataclass
class _Reader:
    """Gathers epochs; what is printed between two of them (evaluate, predict) belongs to none.

    Attributes:
        source: Name of the file.
        planned: The largest number of epochs that was asked for.
        left_out: What is on no curve.
    """

    source: str
    planned: int | None = None
    left_out: list[LeftOut] = field(default_factory=list)
    _headed: list[Epoch] = field(default_factory=list)
    _bare: list[Epoch] = field(default_factory=list)

    def read(self, text: str, line: int) -> None:
        """Takes what was drawn at once."""
        drawing = _Drawing()
        for token in _TOKENS.finditer(text):
            if token["epoch"] and token["word"].casefold() in EPOCH:
                self._take(drawing, line)
                drawing = _Drawing()
                self._begin(int(token["epoch"]), int(token["planned"]), line)
            elif token["step"]:
                if drawing.values:
                    self._take(drawing, line)
                    drawing = _Drawing()
                drawing.step = int(token["step"])
                drawing.total = int(token["total"]) if token["total"].isdecimal() else None
            elif token["seconds"] and drawing.seconds is None:
                drawing.seconds = float(token["seconds"])
            elif token["name"]:
                drawing.values[metric_name(token["name"])] = numeral(token["value"])
        self._take(drawing, line)

    def epochs(self) -> list[Epoch]:
        """Epochs under their headings; in a log without headings, one for each finished line."""
        if self._headed:
            for epoch in self._bare:
                self._leave(epoch.line, "values before the heading of the first epoch")
            return self._finished()
        told = [epoch for epoch in self._bare if epoch.validated] or self._bare
        for number, epoch in enumerate(told, start=1):
            epoch.number = number
        return told

    def _finished(self) -> list[Epoch]:
        """Epochs that came to their end; all that have values where none did."""
        told = [epoch for epoch in self._headed if epoch.values]
        over = [epoch for epoch in told if epoch.validated or epoch.total is None or epoch.step >= epoch.total]
        for epoch in self._headed:
            if not epoch.values:
                self._leave(epoch.line, f"the heading of epoch {epoch.number}, which has no values")
            elif over and epoch not in over:
                self._leave(epoch.line, f"epoch {epoch.number}, which breaks off at {epoch.step} of {epoch.total}")
            elif over and not epoch.validated and any(other.validated for other in over):
                self._leave(epoch.line, f"no validation of epoch {epoch.number}")
        return over or told

    def _leave(self, line: int, why: str) -> None:
        self.left_out.append(LeftOut(line, line, why))

    def _begin(self, number: int, planned: int, line: int) -> None:
        if self._headed and not self._headed[-1].values:
            empty = self._headed.pop()
            self._leave(empty.line, f"the heading of epoch {empty.number}, which has no values")
        if self._headed and number <= self._headed[-1].number:
            last = self._headed[-1]
            raise InputError(
                f"{self.source}:{line}: epoch {number} comes after epoch {last.number} of line {last.line}, so the "
                "file holds more than one training; expected one training a file, and a list of files for phases"
            )
        self.planned = max(self.planned or 0, planned)
        self._headed.append(Epoch(number, line))

    def _take(self, drawing: _Drawing, line: int) -> None:
        if "loss" not in drawing.values:
            return
        if not self._headed:
            if drawing.step == drawing.total:
                self._bare.append(Epoch(0, line))
                _update(self._bare[-1], drawing)
            return
        epoch = self._headed[-1]
        validates = any(name.startswith("val_") for name in drawing.values)
        another_bar = epoch.total is not None and (drawing.total != epoch.total or (drawing.step or 0) < epoch.step)
        if epoch.values and not validates and (epoch.validated or another_bar):
            self._leave(line, "values of another bar, such as that of evaluate")
        elif validates and epoch.ended not in {None, line} and _contradicts(epoch, drawing):
            self._leave(line, f"another end of epoch {epoch.number}, as of a second training")
        else:
            epoch.ended = line if validates else epoch.ended
            _update(epoch, drawing)


def _contradicts(epoch: Epoch, drawing: _Drawing) -> bool:
    return any(epoch.values.get(name, value) != value for name, value in drawing.values.items())


def _update(epoch: Epoch, drawing: _Drawing) -> None:
    epoch.values |= drawing.values
    epoch.step, epoch.total = drawing.step or epoch.step, drawing.total or epoch.total
    if drawing.seconds is not None:
        epoch.seconds = drawing.seconds
