"""What a month's process tells its parent: its tasks and its outcome, as lines of JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from taxi_assets.cli.outcome import Outcome, Status
from taxi_assets.progress import ProgressListener, Report

_SECONDS_BETWEEN_REPORTS = 0.1


class EventWriter:
    """A listener that writes the events of its tasks to the standard output, also while Dagster captures that."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(sys.stdout.fileno()), "w")
        self._unsent: dict[str, tuple[int, int | None]] = {}

    def write(self, **event: Any) -> None:
        """Writes one event."""
        self._file.write(f"{json.dumps(event)}\n")
        self._file.flush()

    def begin(self, task: str, unit: str) -> Report:
        """Writes that the task starts; its callback writes the amount from time to time."""
        self.write(begin=task, unit=unit)
        last = 0.0

        def report(done: int, total: int | None) -> None:
            nonlocal last
            self._unsent[task] = done, total
            if time.monotonic() - last > _SECONDS_BETWEEN_REPORTS:
                last = time.monotonic()
                self._send(task)

        return report

    def end(self, task: str, *, failed: bool) -> None:
        """Writes the last amount of the task, and that it ends."""
        self._send(task)
        self.write(end=task, failed=failed)

    def _send(self, task: str) -> None:
        if unsent := self._unsent.pop(task, None):
            self.write(task=task, done=unsent[0], total=unsent[1])


def replay(lines: Iterable[str], listener: ProgressListener) -> Outcome | None:
    """Tells a listener the events of a process as they come; returns the outcome, None if there is none."""
    reports: dict[str, Report] = {}
    outcome = None
    for line in lines:
        event = json.loads(line)
        if "begin" in event:
            reports[event["begin"]] = listener.begin(event["begin"], event["unit"])
        elif "task" in event:
            reports[event["task"]](event["done"], event["total"])
        elif "end" in event:
            listener.end(event["end"], failed=event["failed"])
        elif "outcome" in event:
            outcome = Outcome(Status(event["outcome"]["status"]), event["outcome"]["reason"])
    return outcome
