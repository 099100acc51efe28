"""How a command ends: its exit code and, at most, a few lines on stderr."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterable
from functools import partial

import click

from equivcheck.errors import EquivcheckError, SpecError

_BY_ATTENTION = (0, 1, 3, 2)
_INTERRUPTED = 130
_BROKEN_PIPE = 141  # 128 + SIGPIPE, as a shell reports it; 1 would read as "divergent"


class Door(click.Group):
    """Turns what a command returns or raises into an exit code."""

    def invoke(self, ctx: click.Context) -> None:
        """Runs the command and leaves with its exit code."""
        try:
            code = guarded(partial(super().invoke, ctx))
            sys.stdout.flush()
        except KeyboardInterrupt:
            say("interrupted")
            code = _INTERRUPTED
        except BrokenPipeError:
            # The reader has gone. Python would complain once more when it flushes stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = _BROKEN_PIPE
        ctx.exit(code)


def guarded(action: Callable[[], int | None]) -> int:
    """The exit code of an action; what it raises is said on stderr."""
    try:
        return action() or 0
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except EquivcheckError as error:
        _say_traceback()
        # A problem of a spec starts with file:line:column, where editors look for it.
        say(str(error) if isinstance(error, SpecError) else f"error: {error}")
        return error.exit_code
    except SystemExit as error:
        # A user's callback that leaves must not look like a verdict either, least of all with code 0.
        say(f"error: the user's code ended the run with sys.exit({error.code!r})")
        return EquivcheckError.exit_code
    except Exception as error:  # noqa: BLE001  (a bug of ours must not look like a verdict)
        hint = "" if _say_traceback() else "; rerun with -v for the traceback"
        say(f"internal error: {type(error).__name__}: {error}{hint}")
        return EquivcheckError.exit_code


def worst(codes: Iterable[int]) -> int:
    """The exit code for several specs: the one that needs most attention.

    2 before 3 before 1 before 0: a spec that cannot be read says nothing about its experiment, and one that cannot be
    judged says less than one that was.
    """
    return max(codes, key=_BY_ATTENTION.index)


def say(text: str) -> None:
    """Prints to stderr."""
    click.echo(text, err=True)


def remember_verbose(ctx: click.Context, _: click.Parameter, value: bool) -> bool:  # noqa: FBT001  (click calls it)
    """Lets errors know of ``-v``, whichever command it was given to."""
    ctx.find_root().meta[__name__] = value
    return value


def _say_traceback() -> bool:
    verbose = bool(click.get_current_context().find_root().meta.get(__name__))
    if verbose:
        say(traceback.format_exc().rstrip())
    return verbose
