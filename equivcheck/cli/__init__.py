"""The command line. Results go to stdout, everything else to stderr.

Whatever is heavy is imported inside the command that needs it: ``--help`` must be instant, and only ``run`` may
import TensorFlow.

Exit codes: 0 equivalent, 1 divergent, 2 bad input or usage, 3 inconclusive; 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import click

from equivcheck import __version__
from equivcheck.check_page import catalogue, page
from equivcheck.cli.exits import Door, guarded, remember_verbose, say, worst
from equivcheck.cli.fix import place_of_repaired, write_repaired
from equivcheck.cli.outputs import FORMATS, plan, write
from equivcheck.errors import InputError, SpecError

Progress = Callable[[str, int, int], None]


def _codes(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Codes or prefixes, repeated or separated by commas; each must be known."""
    from equivcheck.catalog import matches, names  # noqa: PLC0415

    patterns = tuple(part.strip().upper() for value in values for part in value.split(","))
    for pattern in patterns:
        if not pattern or not any(matches(code, (pattern,)) for code in names()):
            raise click.BadParameter(f"no check has a code that starts with {pattern!r}; see equivcheck checks")
    return patterns


verbose_option = click.option(
    "-v", "--verbose", is_flag=True, callback=remember_verbose, help="Say more; show the traceback of an error."
)
format_option = click.option(
    "--output-format",
    "formats",
    type=click.Choice(FORMATS),
    multiple=True,
    help="Format of the report; may be repeated. Default: what the suffix of -o names, else terminal.",
)
output_option = click.option(
    "-o",
    "--output",
    "files",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    help="File to write, one per format in order; the terminal format needs none. Default: stdout.",
)
specs_argument = click.argument(
    "specs", metavar="SPEC...", nargs=-1, required=True, type=click.Path(readable=False, path_type=Path)
)


@click.group(cls=Door, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="equivcheck", message="%(prog)s %(version)s")
def cli() -> None:
    """Says why training on bottleneck features and training with a frozen backbone give different curves."""


@cli.command()
@specs_argument
@format_option
@output_option
@click.option("--select", multiple=True, callback=_codes, metavar="CODES", help="Only these checks: EQ401, EQ4, ...")
@click.option("--ignore", multiple=True, callback=_codes, metavar="CODES", help="All but these checks.")
@click.option("--cache-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder of stored features.")
@click.option(
    "--budget",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=120.0,
    show_default=True,
    help="Time for trainings: arms that take longer are not trained, and no counterfactual is begun when it is spent.",
)
@click.option("--train/--no-train", "curves", default=True, help="Train both arms for their curves.")
@click.option("--replay/--no-replay", default=True, help="Train counterfactuals for each cause's share of the gap.")
@click.option("--fix", is_flag=True, help="Write the repaired spec beside the original, as SPEC.repaired.yaml.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@verbose_option
def run(
    specs: tuple[Path, ...],
    formats: tuple[str, ...],
    files: tuple[Path, ...],
    *,
    fix: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> int:
    """Builds both arms, measures where they part and names the causes.

    Exit code: 0 equivalent, 1 divergent, 2 bad spec or usage, 3 inconclusive. Over several specs 2 outweighs 3,
    3 outweighs 1, 1 outweighs 0.
    """
    outputs = plan(formats, files)
    single = [name for name, file in outputs if name != "terminal" or file is not None]
    if len(specs) > 1 and single:
        raise click.UsageError(f"{single[0]} and -o hold one report; give one SPEC, or the terminal format on stdout")
    for file in files:
        if file.resolve() in {spec.resolve() for spec in specs}:
            raise click.UsageError(f"-o {file} would overwrite the spec")

    def one(spec: Path) -> int:
        from equivcheck.pipeline import run as run_spec  # noqa: PLC0415

        repaired = place_of_repaired(spec) if fix else None
        # Keras and the user's own code print to stdout, where only the report belongs.
        with redirect_stdout(sys.stderr), _progress(spec, quiet=quiet) as progress:
            report = run_spec(spec, progress=progress, **options)
        write(report, outputs, verbose=verbose)
        if repaired is not None:
            done = write_repaired(report, spec, repaired)
            say(f"wrote {repaired}" if done else f"{spec}: no repair was tried that held, so nothing was written")
        code: int = report.exit_code
        return code

    return worst(guarded(partial(one, spec)) for spec in specs)


@cli.command()
@specs_argument
@verbose_option
def validate(specs: tuple[Path, ...], **_: Any) -> int:
    """Checks specs and the files they name."""
    from equivcheck.observed import read_logs  # noqa: PLC0415
    from equivcheck.spec import check_paths, load, recording, resolve  # noqa: PLC0415

    def one(spec: Path) -> None:
        document = load(spec)
        experiment = recording(document) or resolve(document)
        if problems := check_paths(experiment):
            raise SpecError(problems)
        if experiment.observed is not None:
            read_logs(experiment.observed.files)
        click.echo(f"{spec}: valid")

    return worst(guarded(partial(one, spec)) for spec in specs)


@cli.command()
@click.argument("code", metavar="CODE|NAME")
@verbose_option
def explain(code: str, **_: Any) -> None:
    """Shows the page of one check, by code or name."""
    from equivcheck.catalog import check_of, names  # noqa: PLC0415

    words = {word.lower(): code for code, name in names().items() for word in (code, name)}
    if code.lower() not in words:
        import difflib  # noqa: PLC0415

        near = difflib.get_close_matches(code.lower(), words, n=1)
        hint = f'; did you mean "{words[near[0]]} {names()[words[near[0]]]}"?' if near else ""
        raise InputError(f"no check {code!r}{hint} (equivcheck checks lists all)")
    check = check_of(words[code.lower()])
    text = page(check)
    if sys.stdout.isatty():
        from rich.markdown import Markdown  # noqa: PLC0415

        from equivcheck.cli.terminal import Terminal  # noqa: PLC0415

        Terminal().print(Markdown(text))
    else:
        click.echo(text, nl=False)


@cli.command()
@click.option(
    "--output-format",
    "form",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="markdown: the pages of all checks in one.",
)
@verbose_option
def checks(form: str, **_: Any) -> None:
    """Lists all checks."""
    from equivcheck.catalog import all_checks  # noqa: PLC0415

    if form == "markdown":
        click.echo(catalogue(all_checks()), nl=False)
        return
    rows = [{"code": check.code, "name": check.name, "title": check.title} for check in all_checks()]
    if form == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row['code']}  {row['name']:{width}}  {row['title']}")


@cli.command()
@click.argument("path", default="equivcheck.yaml", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--stdout", is_flag=True, help="Print it instead; PATH - does the same.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@verbose_option
def init(path: Path, *, stdout: bool, force: bool, **_: Any) -> None:
    """Writes a commented spec to start from."""
    from equivcheck.report.files import write_atomically  # noqa: PLC0415
    from equivcheck.spec import template  # noqa: PLC0415

    if stdout or str(path) == "-":
        click.echo(template(), nl=False)
        return
    if path.is_dir() or (not force and os.path.lexists(path)):
        raise InputError(f"{path}: exists already; " + ("it is a folder" if path.is_dir() else "--force overwrites it"))
    write_atomically(path, template())
    say(f"wrote {path}; edit it, then: equivcheck validate {path}")


@cli.command(name="report")
@click.argument("result", metavar="RESULT.json", type=click.Path(readable=False, path_type=Path))
@format_option
@output_option
@verbose_option
def render_again(result: Path, formats: tuple[str, ...], files: tuple[Path, ...], *, verbose: bool) -> None:
    """Renders a finished run again. Exits with 0 whatever its verdict was."""
    from equivcheck.report.json_format import loads  # noqa: PLC0415

    outputs = plan(formats, files)
    try:
        text = result.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"{result}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    write(loads(text), outputs, verbose=verbose)


@cli.command()
@click.argument("what", type=click.Choice(["spec", "report"]))
@verbose_option
def schema(what: str, **_: Any) -> None:
    """Prints the JSON Schema of a spec or of a report."""
    from equivcheck.report.schema import report_schema  # noqa: PLC0415
    from equivcheck.spec import spec_schema  # noqa: PLC0415

    click.echo(json.dumps(spec_schema() if what == "spec" else report_schema(), indent=2))


@contextmanager
def _progress(spec: Path, *, quiet: bool) -> Iterator[Progress]:
    """A line that says what is going on, on a terminal only."""
    if quiet or not sys.stderr.isatty():
        yield lambda _stage, _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415

    with Console(stderr=True).status(f"{spec}: starting") as status:
        yield lambda stage, done, total: status.update(f"{spec}: {stage}" + (f" ({done}/{total})" if total else ""))


def main() -> None:
    """The entry point."""
    cli(prog_name="equivcheck")
