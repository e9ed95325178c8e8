"""Output for people: messages, tables, errors."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taxi_assets.errors import TaxiError

PIPE_WIDTH = 1000
"""The width without a terminal, so that no line is wrapped."""


def console(file: TextIO) -> Console:
    """A console of the terminal's width; without a terminal, it wraps no line."""
    return Console(file=file, highlight=False, width=None if file.isatty() else PIPE_WIDTH)


@cache
def messages() -> Console:
    """The console of the standard error, also while Dagster captures that into the logs of a run."""
    return console(os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1))


def show_error(error: TaxiError) -> None:
    """Prints the error with its details, without a stack trace."""
    messages().print(f"[bold red]Error:[/] {escaped(error.summary)}", soft_wrap=True)
    for name, text in error.details.items():
        messages().print(f"  [bold]{name + ':':<10}[/]{escaped(text)}", soft_wrap=True)


def escaped(text: str) -> str:
    """The text without rich's markup."""
    return escape(text)


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table with these headings; the columns in `right` are aligned to the right."""
    empty = Table(header_style="bold", box=None, pad_edge=False)
    for heading in headings:
        empty.add_column(heading, justify="right" if heading in right else "left", no_wrap=heading in right)
    return empty
