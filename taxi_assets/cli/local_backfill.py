"""Months on this machine: one in this process, several concurrently, each in its own process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import date

from taxi_assets.cli.month import run_month
from taxi_assets.cli.month_events import replay
from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.outcome import Outcome, Status, count
from taxi_assets.cli.progress_display import Display, show_progress
from taxi_assets.cli.screen import messages
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.progress import ProgressListener
from taxi_assets.trips.months import month_name

CONCURRENT_MONTHS = 2
_TASKS_BEFORE_STORES = 2
"""The file is fetched and cleaned."""
_ENDED = (Status.LOADED, Status.FAILED)

_BEGINS_ERROR = re.compile(r"^Error:| failed\. ")

Process = subprocess.Popen[str]


@dataclass
class LocalBackfill:
    """Months that are run two at a time.

    Attributes:
        pipeline: The pipeline.
        stores: The stores to load.
        options: The options of the runs.
        tags: Further tags of the runs.
    """

    pipeline: PipelineSpec
    stores: Sequence[str]
    options: RunOptions
    tags: dict[str, str]
    _processes: set[Process] = field(default_factory=set)
    _interrupted: threading.Event = field(default_factory=threading.Event)

    def run(self, months: Sequence[date]) -> dict[date, Outcome]:
        """Runs the months and shows their progress; Ctrl-C cancels those in progress and begins no other."""
        with show_progress(len(months), _TASKS_BEFORE_STORES + len(self.stores)) as display:
            if len(months) == 1:
                listener = display.begin_month(self._name(months[0]))
                return {months[0]: run_month(self.pipeline, months[0], self.stores, self.options, listener, self.tags)}
            return self._run_all(months, display)

    def _run_all(self, months: Sequence[date], display: Display) -> dict[date, Outcome]:
        outcomes: dict[date, Outcome] = {}
        # The months' processes inherit the mask: each takes interrupts as soon as it can cancel its run.
        with ThreadPoolExecutor(CONCURRENT_MONTHS, initializer=_block_interrupts) as pool:
            futures = {pool.submit(self._run_month, month, display): month for month in months}
            numbers = (signal.SIGINT, signal.SIGTERM)
            previous = [signal.signal(number, lambda number, frame: self._interrupt()) for number in numbers]
            try:
                for future in as_completed(futures):
                    month, outcome = futures[future], future.result()
                    outcomes[month] = outcome
                    if outcome.status in _ENDED:
                        ended = f"{count(outcomes, *_ENDED)} of {len(months)}"
                        messages().print(f"[bold]{ended}[/]: {self._name(month)} {outcome.status}")
            finally:
                for number, handler in zip(numbers, previous, strict=True):
                    signal.signal(number, handler)
        return {month: outcomes[month] for month in months}

    def _interrupt(self) -> None:
        """Interrupts the months in progress; no other begins."""
        self._interrupted.set()
        for process in list(self._processes):
            process.send_signal(signal.SIGINT)

    def _name(self, month: date) -> str:
        return f"{self.pipeline.name} {month_name(month)}"

    def _run_month(self, month: date, display: Display) -> Outcome:
        if self._interrupted.is_set():
            return Outcome(Status.NOT_BEGUN)
        began = time.monotonic()
        listener = display.begin_month(self._name(month))
        try:
            with self._start(month) as process:
                outcome = _follow(process, listener)
        finally:
            display.end_month(self._name(month))
        if outcome is None:
            return Outcome(Status.FAILED, f"its process ended with {process.returncode}")
        if outcome.status == Status.LOADED:
            return Outcome(Status.LOADED, f"in {time.monotonic() - began:.1f} s")
        return outcome

    def _start(self, month: date) -> Process:
        """Starts the process of a month, in a session of its own: the terminal does not interrupt it."""
        request = {
            "pipeline": self.pipeline.name,
            "month": month_name(month),
            "stores": list(self.stores),
            "options": asdict(self.options),
            "tags": self.tags,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "taxi_assets.cli.month"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._processes.add(process)
        if self._interrupted.is_set():
            process.send_signal(signal.SIGINT)
        if process.stdin:
            process.stdin.write(f"{json.dumps(request)}\n")
            process.stdin.flush()
        return process


def _block_interrupts() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _follow(process: Process, listener: ProgressListener) -> Outcome | None:
    """Shows what a process writes until it ends; returns its outcome."""
    errors = threading.Thread(target=_pass_on, args=[process])
    errors.start()
    try:
        return replay(process.stdout or (), listener)
    finally:
        errors.join()
        process.wait()


def _pass_on(process: Process) -> None:
    """Prints the lines of a process as they come, the lines of an error together."""
    error: list[str] = []
    for line in map(str.rstrip, process.stderr or ()):
        if error and line.startswith(" "):
            error.append(line)
            continue
        _print(error)
        error = [line] if _BEGINS_ERROR.search(line) else []
        _print([] if error else [line])
    _print(error)


def _print(lines: list[str]) -> None:
    if lines:
        messages().print("\n".join(lines), markup=False, soft_wrap=True)
