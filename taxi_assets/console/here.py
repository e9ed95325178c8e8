"""One month, run in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from taxi_assets import progress
from taxi_assets.console.how import How
from taxi_assets.console.screen import Bars, Lines, escaped, messages
from taxi_assets.pipelines import Pipeline
from taxi_assets.trips.months import month_name


def run_here(
    pipeline: Pipeline, month: date, stores: Sequence[str], how: How, tags: Mapping[str, str] | None = None
) -> str | None:
    """Runs one month and prints what its checks found; returns what stopped it, or None.

    Args:
        pipeline: The pipeline.
        month: The month.
        stores: The stores to load.
        how: What the run is told.
        tags: What the run is tagged with besides.
    """
    progress.watch(Bars() if messages().is_terminal else Lines())
    from taxi_assets.console.dagster_run import run_job

    name = f"{pipeline.service} {month_name(month)}"
    assets = ["raw_taxi", "clean_taxi", "rejected_taxi", *(pipeline.stores[store] for store in stores)]
    config = how.config(pipeline.service)
    done = run_job(pipeline.job, month_name(month), pipeline.service, assets, config, tags or {})
    for warning in done.warnings:
        messages().print(f"[yellow]Check not passed:[/] {escaped(warning)}", soft_wrap=True)
    if done.error:
        messages().print(f"[bold red]{name} failed.[/] {escaped(done.error)}", soft_wrap=True)
    messages().print(f"Run {done.run_id}: see it with `taxi dev`.", soft_wrap=True)
    return done.error
