"""Several months concurrently on this machine, each in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import date

from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.outcome import Outcome, Status, count
from taxi_assets.cli.screen import messages
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.trips.months import month_name

CONCURRENT_MONTHS = 2


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
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, months: Sequence[date]) -> dict[date, Outcome]:
        """Runs the months and prints their output; Ctrl-C ends those in progress and begins no other."""
        outcomes = {month: Outcome(Status.NOT_BEGUN) for month in months}
        with ThreadPoolExecutor(CONCURRENT_MONTHS) as pool:
            futures = {pool.submit(self._run, month): month for month in months}
            try:
                self._collect(futures, outcomes)
            except KeyboardInterrupt:
                # The terminal interrupts the processes of the months, too: they end by themselves.
                self._stopped.set()
                messages().print("Interrupted: the months under way end, the others are left.")
                self._collect(futures, outcomes)
        return outcomes

    def _collect(self, futures: dict[Future[Outcome], date], outcomes: dict[date, Outcome]) -> None:
        for future in as_completed(futures):
            month, outcome = futures[future], future.result()
            if outcomes[month].status == Status.NOT_BEGUN != outcome.status:
                outcomes[month] = outcome
                over = len(outcomes) - count(outcomes, Status.NOT_BEGUN)
                name = f"{self.pipeline.name} {month_name(month)}"
                messages().print(f"[bold]{over} of {len(outcomes)}[/]: {name} {outcome.status}")

    def _run(self, month: date) -> Outcome:
        if self._stopped.is_set():
            return Outcome(Status.NOT_BEGUN)
        began = time.monotonic()
        request = {
            "pipeline": self.pipeline.name,
            "month": month_name(month),
            "stores": list(self.stores),
            "options": asdict(self.options),
            "tags": self.tags,
        }
        with subprocess.Popen(
            [sys.executable, "-m", "taxi_assets.cli.month"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            if process.stdin:
                process.stdin.write(json.dumps(request))
                process.stdin.close()
            _pass_on(process)
            error = (process.stdout.read() if process.stdout else "").strip()
        if process.returncode == 0:
            return Outcome(Status.LOADED, f"in {time.monotonic() - began:.1f} s")
        if self._stopped.is_set():
            return Outcome(Status.LEFT, "interrupted")
        return Outcome(Status.FAILED, error or f"its process ended with {process.returncode}")


def _pass_on(process: subprocess.Popen[str]) -> None:
    """Prints the lines of a process as they come, the lines of an error together."""
    lines: list[str] = []
    for line in process.stderr or ():
        lines.append(line.rstrip())
        if not line.startswith(" "):
            _print(lines[:-1])
            lines = lines[-1:]
    _print(lines)


def _print(lines: list[str]) -> None:
    if lines:
        messages().print("\n".join(lines), markup=False, soft_wrap=True)
