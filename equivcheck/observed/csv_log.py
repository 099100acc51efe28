"""Files of Keras' ``CSVLogger``, and other tables with one row an epoch."""

from __future__ import annotations

import csv
import io

from equivcheck.errors import InputError
from equivcheck.measured import LeftOut, ObservedLog
from equivcheck.observed.epochs import Epoch, log_of
from equivcheck.observed.numerals import Numeral, numeral
from equivcheck.observed.words import metric_name

_SEPARATORS = (",", ";", "\t")


def separator_of(header: str) -> str | None:
    """What separates the columns of a table of metrics; None where the line is no header of one."""
    for separator in _SEPARATORS:
        names = {metric_name(name.strip(' "')) for name in header.split(separator)}
        if separator in header and names & {"loss", "accuracy", "val_loss", "val_accuracy"}:
            return separator
    return None


def read_csv_log(text: str, source: str, separator: str) -> ObservedLog:
    """Reads a table with a header.

    Raises:
        InputError: A row has too few or too many values, a value is no number, or there is no row.
    """
    lines = text.splitlines()
    # CSVLogger with a comma writes numbers with a point; with a semicolon spreadsheets write them with a comma.
    rows = csv.reader(io.StringIO(text), delimiter=separator)
    header = [metric_name(name.strip()) for name in next(rows)]
    counts_from = 0
    epochs: list[Epoch] = []
    broken: list[LeftOut] = []
    for row in rows:
        line = rows.line_num
        if not any(cell.strip() for cell in row) or [metric_name(cell.strip()) for cell in row] == header:
            continue  # an empty line; the header again, where a training was appended
        if len(row) < len(header) and line == len(lines) and epochs:
            broken.append(LeftOut(line, line, f"a row that breaks off after {len(row)} of {len(header)} values"))
            continue
        if len(row) != len(header):
            raise InputError(f"{source}:{line}: has {len(row)} values; the header of line 1 names {len(header)}")
        values = {name: _value(cell, name, f"{source}:{line}") for name, cell in zip(header, row, strict=True)}
        written = values.pop("epoch", None)
        number = len(epochs) if written is None else int(written.value)
        if not epochs:
            counts_from = min(number, 1)  # CSVLogger counts from 0, people from 1
        number += 1 - counts_from
        if epochs and number <= epochs[-1].number:
            raise InputError(
                f"{source}:{line}: epoch {row[header.index('epoch')].strip()} comes after a later one, so the file "
                "holds more than one training; expected one training a file"
            )
        epochs.append(Epoch(number, line, values))
    if not epochs:
        raise InputError(f"{source}: has a header and no row, of {len(lines)} lines; expected one row an epoch")
    return log_of(epochs, source, "csv", left_out=broken)


def _value(cell: str, name: str, place: str) -> Numeral:
    text = cell.strip()
    if text in {"", "NA"}:  # CSVLogger writes NA where an epoch has no such metric
        return Numeral(float("nan"), 0.0)
    try:
        read = numeral(text)
        if name == "epoch":
            int(read.value)
    except (ValueError, OverflowError):
        raise InputError(f"{place}: {name} is {text!r}; expected a number") from None
    return read
