"""Runs one month in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from taxi_assets import progress
from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.screen import Lines, ProgressBars, escaped, messages, show_error
from taxi_assets.errors import TaxiError
from taxi_assets.instance.home import set_dagster_home
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipelines import pipeline_for
from taxi_assets.trips.months import month_name, parse_month


def run_month(
    pipeline: PipelineSpec,
    month: date,
    stores: Sequence[str],
    options: RunOptions,
    tags: Mapping[str, str] | None = None,
) -> str | None:
    """Runs one month and prints the warnings of its checks; returns the error, or None.

    Args:
        pipeline: The pipeline.
        month: The month.
        stores: The stores to load.
        options: The options of the run.
        tags: Further tags of the run.
    """
    progress.set_listener(ProgressBars() if messages().is_terminal else Lines())
    from taxi_assets.instance.runs import run_job

    name = f"{pipeline.name} {month_name(month)}"
    assets = ["raw_taxi", "clean_taxi", "rejected_taxi", *(pipeline.stores[store] for store in stores)]
    config = options.config(pipeline.name)
    run = run_job(pipeline.job, month_name(month), pipeline.name, assets, config, tags or {})
    for warning in run.warnings:
        messages().print(f"[yellow]Check not passed:[/] {escaped(warning)}", soft_wrap=True)
    if run.error:
        messages().print(f"[bold red]{name} failed.[/] {escaped(run.error)}", soft_wrap=True)
    messages().print(f"Run {run.run_id}: see it with `taxi dev`.", soft_wrap=True)
    return run.error


def main(request: dict[str, Any]) -> int:
    """Runs the month that `LocalBackfill` requests, prints the error's first line, and returns the exit code."""
    set_dagster_home()
    try:
        pipeline, month = pipeline_for(request["pipeline"]), parse_month(request["month"])
        error = run_month(pipeline, month, request["stores"], RunOptions(**request["options"]), request["tags"])
    except TaxiError as raised:
        show_error(raised)
        error = raised.summary
    except KeyboardInterrupt:
        error = "interrupted"
    if error:
        print(error.splitlines()[0])
    return 1 if error else 0


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
