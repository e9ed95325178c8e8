"""Several months at once: handed to Dagster's daemon where one runs, else run here side by side."""

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
    """Runs each month in a process of its own, two at a time; returns how many failed."""

    def run(month: date) -> bool:
        command = [sys.executable, "-m", "taxi_assets.console.one_month", pipeline.service, month_name(month)]
        command += [*stores, *(["--force"] if force else [])]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        messages().print(f"[bold]{pipeline.service} {month_name(month)}[/] {'done' if done.returncode == 0 else 'failed'}")
        if done.returncode:
            messages().print(done.stderr.strip(), markup=False, soft_wrap=True)
        return done.returncode == 0

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(not well for well in pool.map(run, months))
