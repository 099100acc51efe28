"""Where people read: rich's console, but for what it does when its reader leaves."""

from __future__ import annotations

from rich.console import Console


class Terminal(Console):
    """Stdout as rich draws on it."""

    def on_broken_pipe(self) -> None:
        """Lets the error through to ``exits``; rich would leave with 1, which reads as a verdict."""
        raise BrokenPipeError
