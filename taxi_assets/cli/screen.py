"""Output for people: progress bars in a terminal, lines elsewhere, tables, errors."""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from taxi_assets.errors import TaxiError
from taxi_assets.progress import Report

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


class ProgressBars:
    """Shows each task as a bar in the terminal."""

    def __init__(self) -> None:
        self._bars: dict[str, tuple[Progress, TaskID]] = {}

    def begin(self, task: str, unit: str) -> Report:
        """Starts a bar for the task."""
        amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
        name = TextColumn("{task.description:<35}")
        bar = Progress(name, BarColumn(20), amount, TimeElapsedColumn(), console=messages())
        number = bar.add_task(task, total=None)
        bar.start()
        self._bars[task] = bar, number
        return lambda done, total: bar.update(number, completed=done, total=total)

    def end(self, task: str) -> None:
        """Stops the bar, full."""
        bar, number = self._bars.pop(task)
        completed = bar.tasks[0].completed
        bar.update(number, total=completed or 1, visible=completed > 0)
        bar.stop()


class Lines:
    """Prints a line when a task ends, for logs and pipes."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}
        self._done: dict[str, str] = {}

    def begin(self, task: str, unit: str) -> Report:
        """Starts the task's clock."""
        self._begun[task] = time.monotonic()

        def report(done: int, total: int | None) -> None:
            self._done[task] = f"{done:,} {unit}"

        return report

    def end(self, task: str) -> None:
        """Prints the task, its amount and its duration; nothing if the amount is nothing."""
        seconds = time.monotonic() - self._begun.pop(task)
        if done := self._done.pop(task, None):
            messages().print(f"{task}: {done} in {seconds:.1f} s", soft_wrap=True)
