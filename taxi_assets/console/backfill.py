"""Several months at once, side by side on this machine, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from taxi_assets.console.screen import messages
from taxi_assets.pipelines import Pipeline
from taxi_assets.trips.months import month_name

AT_ONCE = 2


def run_side_by_side(pipeline: Pipeline, months: Sequence[date], stores: Sequence[str], *, force: bool) -> int:
    """Runs each month, two at a time, and passes on what it says; returns how many failed."""

    def run(month: date) -> bool:
        command = [sys.executable, "-m", "taxi_assets.console.one_month", pipeline.service, month_name(month)]
        command += [*stores, *(["--force"] if force else [])]
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
        ) as process:
            lines: list[str] = []
            for line in process.stderr or ():
                lines.append(line.rstrip())
                # A line of its own is passed on as it comes; an error is kept together.
                if not line.startswith(" "):
                    lines = _pass_on(lines[:-1]) + lines[-1:]
            _pass_on(lines)
        return process.returncode == 0

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(not well for well in pool.map(run, months))


def _pass_on(lines: list[str]) -> list[str]:
    if lines:
        messages().print("\n".join(lines), markup=False, soft_wrap=True)
    return []
