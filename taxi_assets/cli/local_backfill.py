"""Several months at once, side by side on this machine, each in a process of its own."""

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
from typing import Any

from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.outcome import Outcome
from taxi_assets.cli.screen import messages
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.trips.months import month_name

AT_ONCE = 2


@dataclass
class LocalBackfill:
    """Months that are run two at a time.

    Attributes:
        pipeline: The pipeline.
        stores: The stores to load.
        how: What the runs are told.
        tags: What each run is tagged with besides.
    """

    pipeline: PipelineSpec
    stores: Sequence[str]
    how: RunOptions
    tags: dict[str, str]
    _stopped: threading.Event = field(default_factory=threading.Event)

    def run(self, months: Sequence[date]) -> dict[date, Outcome]:
        """Runs them and passes on what they say; Ctrl-C ends those under way, and the rest is left."""
        outcomes = {month: Outcome("left", "not begun") for month in months}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            months_in_progress = {pool.submit(self._run, month): month for month in months}
            try:
                self._collect(months_in_progress, outcomes)
            except KeyboardInterrupt:
                # The terminal has told the processes of the months as well: they end by themselves.
                self._stopped.set()
                messages().print("Interrupted: the months under way end, the others are left.")
                self._collect(months_in_progress, outcomes)
        return outcomes

    def _collect(self, months_in_progress: dict[Future[Outcome], date], outcomes: dict[date, Outcome]) -> None:
        for done in as_completed(months_in_progress):
            month = months_in_progress[done]
            if outcomes[month].end == "left" and done.result().why != "not begun":
                outcomes[month] = done.result()
                over = sum(outcome.why != "not begun" for outcome in outcomes.values())
                name = f"{self.pipeline.service} {month_name(month)}"
                messages().print(f"[bold]{over} of {len(outcomes)}[/]: {name} {outcomes[month].end}")

    def _run(self, month: date) -> Outcome:
        if self._stopped.is_set():
            return Outcome("left", "not begun")
        began = time.monotonic()
        told: dict[str, Any] = {"service": self.pipeline.service, "month": month_name(month)}
        told |= {"stores": list(self.stores), "how": asdict(self.how), "tags": self.tags}
        command = [sys.executable, "-m", "taxi_assets.cli.month"]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            if process.stdin:
                process.stdin.write(json.dumps(told))
                process.stdin.close()
            _pass_on(process)
            why = (process.stdout.read() if process.stdout else "").strip()
        if process.returncode == 0:
            return Outcome("loaded", f"in {time.monotonic() - began:.1f} s")
        if self._stopped.is_set():
            return Outcome("left", "interrupted")
        return Outcome("failed", why or f"its process ended with {process.returncode}")


def _pass_on(process: subprocess.Popen[str]) -> None:
    """Prints the lines of a process as they come; an error is kept together."""
    lines: list[str] = []
    for line in process.stderr or ():
        lines.append(line.rstrip())
        if not line.startswith(" "):
            _say(lines[:-1])
            lines = lines[-1:]
    _say(lines)


def _say(lines: list[str]) -> None:
    if lines:
        messages().print("\n".join(lines), markup=False, soft_wrap=True)
