"""Output for people: messages, tables, errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taxi_assets.errors import TaxiError

PIPE_WIDTH = 1000
"""The width without a terminal, so that no line is wrapped."""
_SPELLED_OUT = {code: f"\\x{code:02X}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class _Console(Console):
    """A console of the terminal's width; without a terminal, it wraps no line."""

    def __init__(self, file: TextIO, unread: Callable[[Console], None]) -> None:
        super().__init__(file=file, highlight=False, width=None if file.isatty() else PIPE_WIDTH)
        self._unread = unread

    def on_broken_pipe(self) -> None:
        """Called when nobody reads any longer."""
        self._unread(self)


def console(file: TextIO, unread: Callable[[Console], None]) -> Console:
    """A console of the terminal's width; without a terminal, it wraps no line.

    Args:
        file: Where it prints.
        unread: Called when nobody reads that any longer.
    """
    return _Console(file, unread)


@cache
def messages() -> Console:
    """The console of the standard error, also while Dagster captures that into the logs of a run."""
    return console(os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1), _go_on_unread)


def _go_on_unread(unread: Console) -> None:
    """Lets the command do its work without messages."""
    unread.file = Path(os.devnull).open("w")  # noqa: SIM115


def show_error(error: TaxiError) -> None:
    """Prints the error with its details, without a stack trace."""
    messages().print(f"[bold red]Error:[/] {escaped(error.summary)}", soft_wrap=True)
    for name, text in error.details.items():
        messages().print(f"  [bold]{name + ':':<10}[/]{escaped(text)}", soft_wrap=True)


def escaped(text: str) -> str:
    """The text without rich's markup and without what a terminal obeys."""
    return escape(visible(text))


def visible(text: str) -> str:
    r"""The text with its control characters spelled out, as psql does: the escape character is `\x1B`."""
    return text.translate(_SPELLED_OUT)


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table with these headings; the columns in `right` are aligned to the right."""
    empty = Table(header_style="bold", box=None, pad_edge=False)
    for heading in headings:
        empty.add_column(heading, justify="right" if heading in right else "left", no_wrap=heading in right)
    return empty


def expanded(row: Iterable[tuple[str, str]]) -> Table:
    """A row as a list of headings and values, like psql's expanded display."""
    listed = Table(show_header=False, box=None, pad_edge=False)
    listed.add_column(style="bold", overflow="fold")
    listed.add_column(overflow="fold")
    for heading, cell in row:
        listed.add_row(heading, cell)
    return listed
