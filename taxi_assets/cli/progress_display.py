"""The progress of months: bars in a terminal, and everywhere a line for each task that ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from taxi_assets.cli.screen import messages
from taxi_assets.progress import ProgressListener, Report

_MB = 1_000_000
_BAR = 18
_AMOUNT = 15
"""The width of the amount, which a narrow terminal has no room for."""
_AROUND_BAR = 36 + 1 + 1 + _AMOUNT + 7


class Display(Protocol):
    """Shows the months of a command."""

    def begin_month(self, name: str) -> ProgressListener:
        """Called when a month starts; returns the listener for its tasks."""

    def end_month(self, name: str) -> None:
        """Called when a month that started ends, whether or not it is loaded."""


@contextmanager
def show_progress(months: int, tasks: int) -> Iterator[Display]:
    """Shows the progress of months until the block ends.

    Args:
        months: The number of months.
        tasks: The number of tasks of each month.
    """
    if not messages().is_terminal:
        yield Lines()
        return
    bars = Bars(months, tasks)
    with bars.progress:
        yield bars


class Lines:
    """For logs and pipes."""

    def begin_month(self, name: str) -> ProgressListener:
        """Returns the listener that prints a line a task."""
        return TaskLines()

    def end_month(self, name: str) -> None:
        """Nothing: the lines of the tasks stand there."""


class Bars:
    """A bar for each month in progress, and one for all months if there are several.

    Attributes:
        progress: The bars, below all that is printed meanwhile. They vanish when it ends.
    """

    def __init__(self, months: int, tasks: int) -> None:
        room = messages().width - _AROUND_BAR
        amount = [TextColumn("{task.fields[amount]:>14}")] if room >= _BAR else []
        bar = BarColumn(_BAR if amount else max(3, min(_BAR, room + _AMOUNT)))
        columns = (TextColumn("{task.description:<36}"), bar, *amount, TimeElapsedColumn())
        self.progress = Progress(*columns, console=messages(), transient=True)
        self._tasks = tasks
        self._months = months
        self._all = self.progress.add_task("all months", total=months, amount=f"0 of {months}") if months > 1 else None
        self._bars: dict[str, TaskID] = {}

    def begin_month(self, name: str) -> ProgressListener:
        """Adds the month's bar."""
        bar = self._bars[name] = self.progress.add_task(name, total=self._tasks, amount="")
        return MonthBar(self.progress, bar, self._tasks)

    def end_month(self, name: str) -> None:
        """Removes the month's bar."""
        self.progress.remove_task(self._bars.pop(name))
        if self._all is not None:
            self.progress.advance(self._all)
            done = int(self.progress.tasks[self.progress.task_ids.index(self._all)].completed)
            self.progress.update(self._all, amount=f"{done} of {self._months}")


class TaskLines:
    """Prints a line when a task ends, also when it fails."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}
        self._done: dict[str, str] = {}

    def begin(self, task: str, unit: str) -> Report:
        """Starts the task's clock."""
        self._begun[task] = time.monotonic()

        def report(done: int, total: int | None) -> None:
            self._done[task] = f"{done:,} {unit}"

        return report

    def end(self, task: str, *, failed: bool) -> None:
        """Prints the task, its amount and its duration; nothing if the amount is nothing."""
        seconds = time.monotonic() - self._begun.pop(task)
        done = self._done.pop(task, None)
        if failed:
            messages().print(f"{task}: stopped after {f'{done} in ' if done else ''}{seconds:.1f} s", soft_wrap=True)
        elif done:
            messages().print(f"{task}: {done} in {seconds:.1f} s", soft_wrap=True)


class MonthBar(TaskLines):
    """Moves the bar of a month: each task is an equal part of it."""

    def __init__(self, progress: Progress, bar: TaskID, tasks: int) -> None:
        super().__init__()
        self._progress = progress
        self._bar = bar
        self._tasks = tasks
        self._ended = 0

    def begin(self, task: str, unit: str) -> Report:
        """Names the task beside the bar."""
        self._progress.update(self._bar, description=task, amount="")
        report_line = super().begin(task, unit)

        def report(done: int, total: int | None) -> None:
            report_line(done, total)
            part = min(done / total, 1) if total else 0
            amount = f"{done / _MB:,.1f} MB" if unit == "bytes" else f"{done:,} {unit}"
            self._progress.update(self._bar, completed=min(self._ended + part, self._tasks), amount=amount)

        return report

    def end(self, task: str, *, failed: bool) -> None:
        """Prints the task's line."""
        super().end(task, failed=failed)
        self._ended += not failed
        self._progress.update(self._bar, completed=min(self._ended, self._tasks))
