"""How far a long task is, told to whoever watches: `taxi` installs a watcher, under the daemon nobody does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

Report = Callable[[int, int | None], None]
"""Takes what is done and, where it is known, the total; both in the task's unit."""


class Watcher(Protocol):
    """Shows tasks to a person."""

    def begin(self, task: str, unit: str) -> Report:
        """A task starts; what it returns is called as it goes on."""

    def end(self, task: str) -> None:
        """The task is over, well or not."""


_watcher: Watcher | None = None


def watch(watcher: Watcher | None) -> None:
    """Shows the tasks of this process to the watcher from now on; None: to nobody."""
    global _watcher
    _watcher = watcher


@contextmanager
def task(name: str, unit: str) -> Iterator[Report]:
    """A task of `bytes` or `rows` that reports how far it is."""
    if not _watcher:
        yield lambda done, total: None
        return
    report = _watcher.begin(name, unit)
    try:
        yield report
    finally:
        _watcher.end(name)
