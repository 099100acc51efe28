"""``history.history`` saved as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from equivcheck.errors import InputError
from equivcheck.measured import ObservedLog
from equivcheck.observed.epochs import Epoch, log_of
from equivcheck.observed.numerals import Numeral, numeral
from equivcheck.observed.words import metric_name


def read_history(text: str, source: str) -> ObservedLog:
    """Reads a mapping of lists, perhaps below a key ``history``; pandas' mapping of mappings will do too.

    Raises:
        InputError: It is no JSON, or no history.
    """
    try:
        # The text of a number tells how far it was rounded.
        data = json.loads(text, parse_float=_Written, parse_constant=_Written)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}:{error.lineno}:{error.colno}: is not valid JSON: {error.msg}") from None
    except RecursionError:
        raise InputError(f"{source}: is not a history: it is nested too deeply") from None
    if isinstance(data, dict) and isinstance(data.get("history"), dict):
        data = data["history"]
    columns = {metric_name(name): _column(values, name, source, text) for name, values in _items(data, source)}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InputError(f"{source}: the lists differ in length or are empty: {told}; expected one value an epoch")
    epochs = [
        Epoch(number + 1, 1, {name: values[number] for name, values in columns.items()})
        for number in range(next(iter(lengths.values())))
    ]
    return log_of(epochs, source, "history")


class _Written(str):
    """A number as it was written."""

    __slots__ = ()


def _items(data: Any, source: str) -> list[tuple[str, Any]]:
    if not isinstance(data, dict) or not any(metric_name(name) in {"loss", "accuracy"} for name in data):
        raise InputError(f'{source}: is no history; expected {{"loss": [...], "val_accuracy": [...], ...}}')
    return [(name, values) for name, values in data.items() if name not in {"epoch", "params"}]


def _column(values: Any, name: str, source: str, text: str) -> list[Numeral]:
    if isinstance(values, Mapping):
        values = list(values.values())
    line = text.count("\n", 0, max(0, text.find(f'"{name}"'))) + 1
    if not isinstance(values, list):
        raise InputError(f"{source}:{line}: {name} is {values!r}; expected a list of numbers")
    found = []
    for value in values:
        try:
            found.append(Numeral(float("nan"), 0.0) if value is None else numeral(_text(value)))
        except ValueError:
            raise InputError(f"{source}:{line}: {name} holds {value!r}; expected a list of numbers") from None
    return found


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value}.0000"  # an accuracy of 1 that lost its decimals, as JavaScript writes it
    if not isinstance(value, str):
        raise ValueError(value)  # noqa: TRY004  (told as a bad number, whatever it is)
    return value
