"""Where reports go: which format into which file, checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import click

from equivcheck.errors import InputError
from equivcheck.report.formats import TEXT_FORMATS, format_of, render

if TYPE_CHECKING:
    from equivcheck.report.model import Report

#: Formats that a report can be shown in.
FORMATS = ("terminal", *TEXT_FORMATS)

_FILE_WIDTH = 100

#: A format, and the file it goes into, or None for stdout.
Output = tuple[str, Path | None]


def plan(formats: Sequence[str], files: Sequence[Path]) -> list[Output]:
    """Pairs formats with files.

    Args:
        formats: As given. Where none is, the files' suffixes name them, and what names none is ``terminal``.
        files: One per format in order; or one per format that is not ``terminal``, which then goes to stdout.

    Raises:
        click.UsageError: The numbers do not fit, or two things would go to one place.
        InputError: A file cannot be written.
    """
    if not formats:
        formats = [format_of(file) or "terminal" for file in files] or ["terminal"]
    to_files = list(formats) if len(files) == len(formats) else [name for name in formats if name != "terminal"]
    if files and len(files) != len(to_files):
        raise click.UsageError(f"{len(files)} -o for {len(formats)} --output-format; give one for each, in order")
    if len({file.absolute() for file in files}) < len(files):
        raise click.UsageError("the same file is given to -o twice")
    waiting = iter(files)
    outputs = [(name, next(waiting, None) if name in to_files else None) for name in formats]
    if sum(file is None for _, file in outputs) > 1:
        raise click.UsageError("only one format can go to stdout; give the others a file with -o")
    for file in files:
        _check_writable(file)
    return outputs


def _check_writable(file: Path) -> None:
    """Fails before minutes of work, not after."""
    if not file.parent.is_dir():
        raise InputError(f"{file}: cannot be written: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise InputError(f"{file}: cannot be written: no permission to write into {file.parent}")


def write(report: Report, outputs: Sequence[Output], *, verbose: bool) -> None:
    """Shows a report in every format that was asked for."""
    from equivcheck.report.files import write_atomically  # noqa: PLC0415

    for form, file in outputs:
        if file is not None:
            write_atomically(file, _text(report, form, verbose=verbose))
        elif form == "terminal":
            from equivcheck.cli.terminal import Terminal  # noqa: PLC0415
            from equivcheck.report.terminal import print_report  # noqa: PLC0415

            print_report(report, Terminal(), verbose=verbose)
        else:
            click.echo(_text(report, form, verbose=verbose), nl=False)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        _annotate(report)


def _annotate(report: Report) -> None:
    """Tells GitHub the findings; on stderr, which it reads too, so that a report on stdout stays whole."""
    from equivcheck.report.github import commands  # noqa: PLC0415

    for command in commands(report):
        click.echo(command, err=True)


def _text(report: Report, form: str, *, verbose: bool) -> str:
    if form != "terminal":
        return render(report, form)
    from rich.console import Console  # noqa: PLC0415

    from equivcheck.report.terminal import print_report  # noqa: PLC0415

    text = StringIO()
    print_report(report, Console(file=text, width=_FILE_WIDTH, color_system=None), verbose=verbose)
    return text.getvalue()
