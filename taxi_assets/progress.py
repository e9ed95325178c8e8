"""The progress of long tasks. `taxi` installs a listener; under the daemon there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

Report = Callable[[int, int | None], None]
"""Called with the amount done so far and the total (None: not known), both in the task's unit."""


class ProgressListener(Protocol):
    """Shows tasks to a person."""

    def begin(self, task: str, unit: str) -> Report:
        """Called when a task starts; returns the callback for its progress."""

    def end(self, task: str, *, failed: bool) -> None:
        """Called when the task ends, by an error or not; not called after an interrupt."""


_listener: ProgressListener | None = None


def set_listener(listener: ProgressListener | None) -> None:
    """Sets the listener of this process; None removes it."""
    global _listener
    _listener = listener


@contextmanager
def task(name: str, unit: str) -> Iterator[Report]:
    """A task that reports its progress.

    Args:
        name: What it does: `load yellow 2021-01 into PostgreSQL`.
        unit: `bytes` or `rows`.
    """
    if not _listener:
        yield lambda done, total: None
        return
    report = _listener.begin(name, unit)
    try:
        yield report
    except Exception:
        _listener.end(name, failed=True)
        raise
    _listener.end(name, failed=False)
