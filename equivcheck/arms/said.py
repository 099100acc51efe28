"""What an error of Keras, TensorFlow or the user's code says, in one line, and which line of the user's raised it."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tensorflow as tf

from equivcheck.errors import EquivcheckError, InputError

#: Keras gives the reason after a heading; what follows a few lines is advice and stack.
MOST_LINES = 4
MOST_CHARACTERS = 400

#: Keras prints its reasons in bold.
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
#: What comes after the reason: the arguments of a layer (Keras), the traceback of a Python function (TensorFlow).
_AFTER_THE_REASON = re.compile(r"^\s*(Arguments received by |Traceback \(most recent call last\):)", re.MULTILINE)
#: A frame and, below "in user code:" where TensorFlow traced a function, its line of source, which is indented more.
_FRAME = re.compile(r'^([ \t]*)File ".*\n(?:\1[ \t]+\S.*\n)?', re.MULTILINE)
#: How TensorFlow names the node of a graph in which something went wrong.
_NODE = re.compile(r"^\s*\[\[.*|\{\{function_node .*?\}\} ?", re.MULTILINE)
_HEADINGS = re.compile(
    r"(Graph execution error|in user code):$|Detected at node |<stack traces unavailable>$|Stack trace for op "
)
_PLACE = re.compile(r'File "([^"]+)", line (\d+)')

_OURS = Path(__file__).parents[1]
_PYTHON = Path(sysconfig.get_path("stdlib"))


def reason_of(error: BaseException) -> str:
    """Why something was raised, in one line of limited length; empty where it does not say."""
    text = _ESCAPES.sub("", str(error))
    if after := _AFTER_THE_REASON.search(text):
        text = text[: after.start()]
    text = _NODE.sub("", _FRAME.sub("", text))
    lines = [line.strip() for line in text.splitlines()]
    reason = " ".join([line for line in lines if line and not _HEADINGS.match(line)][:MOST_LINES])
    return reason if len(reason) <= MOST_CHARACTERS else f"{reason[:MOST_CHARACTERS]}…"


def described(error: BaseException) -> str:
    """``ValueError: its reason (file.py:12)``, the place only where it lies in the user's own code."""
    reason, place = reason_of(error), place_of(error)
    kind = type(error).__name__
    return (f"{kind}: {reason}" if reason else kind) + (f" ({place})" if place else "")


def place_of(error: BaseException) -> str | None:
    """``file:line`` of the user's innermost line that raised; None where only libraries took part."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    # TensorFlow runs a generator in a thread of its own and passes on only the text of what it raised. Before that
    # traceback may stand another: of what defined the graph, which is no one's fault.
    _, _, inner = str(error).partition("Traceback (most recent call last):")
    frames += [(file, int(line)) for file, line in _PLACE.findall(inner)]
    return next((f"{file}:{line}" for file, line in reversed(frames) if _is_the_users(file)), None)


def _is_the_users(file: str) -> bool:
    path = Path(file)
    if not path.is_absolute() or path.name.startswith("__autograph_generated_file"):
        return False  # code that came from no file, or from TensorFlow's copy of one
    library = {"site-packages", "dist-packages"} & set(path.parts)
    return not (library or path.is_relative_to(_OURS) or path.is_relative_to(_PYTHON))


@contextmanager
def refused(subject: str | Callable[[], str] = "") -> Iterator[None]:
    """Turns whatever Keras raises inside, on what a spec says, into an ``InputError`` with the reason.

    Not only ValueError and TypeError: a layer with an axis that its input has not raises IndexError, for instance.

    Args:
        subject: What was refused; a function where only the error can tell.
    """
    try:
        yield
    except (EquivcheckError, MemoryError, tf.errors.ResourceExhaustedError):
        raise  # too little memory says nothing about the spec
    except Exception as error:
        named = subject if isinstance(subject, str) else subject()
        # These two are how Keras refuses an argument, in its own words; of others the kind is half of what is said.
        said = reason_of(error) if isinstance(error, ValueError | TypeError) else ""
        said = said or f"Keras raised {described(error)}"
        raise InputError(f"{named}: {said}" if named else said) from error
