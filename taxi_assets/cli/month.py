"""Runs one month in this process."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from taxi_assets import progress
from taxi_assets.cli.interrupts import INTERRUPTED, leave, take_interrupts
from taxi_assets.cli.month_events import EventWriter
from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.outcome import Outcome, Status
from taxi_assets.cli.screen import escaped, messages, show_error
from taxi_assets.errors import TaxiError
from taxi_assets.instance.home import set_dagster_home
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipelines import pipeline_for
from taxi_assets.trips.months import month_name, parse_month

_NOT_BEGUN = "interrupted before its run began"


def run_month(
    pipeline: PipelineSpec,
    month: date,
    stores: Sequence[str],
    options: RunOptions,
    listener: progress.ProgressListener,
    tags: Mapping[str, str] | None = None,
) -> Outcome:
    """Runs one month; prints the warnings of its checks, and the error if it fails.

    Args:
        pipeline: The pipeline.
        month: The month.
        stores: The stores to load.
        options: The options of the run.
        listener: Shows its tasks.
        tags: Further tags of the run.
    """
    progress.set_listener(listener)
    # Before Dagster redirects the standard error.
    messages()
    from taxi_assets.instance.runs import run_job

    name = f"{pipeline.name} {month_name(month)}"
    assets = ["raw_taxi", "clean_taxi", "rejected_taxi", *(pipeline.stores[store] for store in stores)]
    config = options.config(pipeline.name)
    run = run_job(pipeline.job, month_name(month), pipeline.name, assets, config, tags or {}, _print_wait)
    for warning in run.warnings:
        messages().print(f"[yellow]Check not passed:[/] {escaped(warning)}", soft_wrap=True)
    if run.canceled:
        return Outcome(Status.CANCELED, f"run {run.run_id} is canceled")
    if run.error:
        messages().print(f"[bold red]{name} failed.[/] {escaped(run.error)}", soft_wrap=True)
    messages().print(f"Run {run.run_id}: {name}; see it with `taxi dev`.", soft_wrap=True)
    return Outcome(Status.FAILED, run.error.splitlines()[0]) if run.error else Outcome(Status.LOADED)


def _print_wait(text: str) -> None:
    messages().print(escaped(text), soft_wrap=True)


def main() -> Outcome:
    """Runs the month that `LocalBackfill` requests, and writes its events and its outcome to the standard output.

    The parent blocks interrupts for this process until it is ready for one. It interrupts by a signal, or by its end.
    """
    writer = EventWriter()
    take_interrupts()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        outcome = _run(json.loads(sys.stdin.readline()), writer)
    except TaxiError as raised:
        show_error(raised)
        outcome = Outcome(Status.FAILED, raised.summary)
    except KeyboardInterrupt:
        outcome = Outcome(Status.CANCELED, _NOT_BEGUN)
    writer.write(outcome=asdict(outcome))
    return outcome


def _run(request: dict[str, Any], writer: EventWriter) -> Outcome:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    set_dagster_home()
    pipeline, month = pipeline_for(request["pipeline"]), parse_month(request["month"])
    return run_month(pipeline, month, request["stores"], RunOptions(**request["options"]), writer, tags=request["tags"])


def _end_with_parent() -> None:
    """Interrupts this process when its parent is gone, which holds the other end of the standard input."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    if main().status == Status.CANCELED:
        leave(INTERRUPTED)
