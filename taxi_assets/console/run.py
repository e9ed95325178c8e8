"""`taxi run`: months of a service, fetched, cleaned and loaded through Dagster."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from datetime import date

from taxi_assets import progress
from taxi_assets.automation.loaded import Wanted, already_loaded, entries
from taxi_assets.console.backfill import run_side_by_side
from taxi_assets.console.database import reader
from taxi_assets.console.screen import Bars, Lines, escaped, messages, table
from taxi_assets.errors import TaxiError
from taxi_assets.pipelines import Pipeline, pipeline_of
from taxi_assets.settings import settings
from taxi_assets.sources.source import source_from_settings
from taxi_assets.stores.load_log import LoadEntry
from taxi_assets.trips.months import month_name, next_month, parse_months


def run_months(service: str, months: str, only: Sequence[str], *, force: bool) -> int:
    """Loads the months that are not loaded yet, and prints what stands in the stores; returns the exit code.

    Raises:
        TaxiError: A service, month or store that is none; a source or store that is not as it should be.
    """
    began = time.monotonic()
    pipeline = pipeline_of(service)
    stores = _stores(pipeline, only)
    wanted = Wanted(pipeline, stores, _available(pipeline, parse_months(months)))
    done = [] if force else _done(wanted)
    for month in done:
        messages().print(f"{service} {month_name(month)}: loaded already from the same file (--force loads it again).")
    left = [month for month in wanted.months if month not in done]
    if len(left) == 1:
        failed = 0 if run_here(pipeline, left[0], stores, force=force) else 1
    else:
        failed = run_side_by_side(pipeline, left, stores, force=force) if left else 0
    with reader() as connection:
        show_entries(entries(connection, wanted))
    summary = f"{len(left) - failed} loaded, {len(done)} loaded already, {failed} failed"
    messages().print(f"\n{service}: {summary}, in {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


def _done(wanted: Wanted) -> list[date]:
    source = source_from_settings(settings())
    with reader() as connection:
        return already_loaded(connection, source, wanted)


def _stores(pipeline: Pipeline, only: Sequence[str]) -> list[str]:
    names = [name for given in only for name in given.split(",")]
    if unknown := [name for name in names if name not in pipeline.stores]:
        raise TaxiError(
            f"The pipeline of {pipeline.service} has no store {unknown[0]!r}.",
            expected=f"one of: {', '.join(pipeline.stores)}",
            intact="nothing was started",
        )
    return [name for name in pipeline.stores if not names or name in names]


def _available(pipeline: Pipeline, months: list[date]) -> list[date]:
    if months[0] < pipeline.start:
        raise TaxiError(
            f"{pipeline.service} {month_name(months[0])} is before the pipeline's first month.",
            expected=f"{month_name(pipeline.start)} or later",
            intact="nothing was started",
            next_step="choose a later month",
        )
    if next_month(months[-1]) > date.today():
        raise TaxiError(
            f"{pipeline.service} {month_name(months[-1])} is not published yet: the month is not over.",
            expected="a month that is over; the TLC publishes it about two months after its end",
            intact="nothing was started",
            next_step="choose an earlier month",
        )
    return months


def run_here(pipeline: Pipeline, month: date, stores: Sequence[str], *, force: bool) -> bool:
    """Runs one month in this process; whether it went well."""
    progress.watch(Bars() if messages().is_terminal else Lines())
    from taxi_assets.console.dagster_run import run_job

    name = f"{pipeline.service} {month_name(month)}"
    assets = ["raw_taxi", "clean_taxi", "rejected_taxi", *(pipeline.stores[store] for store in stores)]
    config = {"ops": {f"{pipeline.service}__raw_taxi": {"config": {"force": force}}}}
    done = run_job(pipeline.job, month_name(month), pipeline.service, assets, config)
    for warning in done.warnings:
        messages().print(f"[yellow]Check not passed:[/] {escaped(warning)}", soft_wrap=True)
    if done.error:
        messages().print(f"[bold red]{name} failed.[/] {escaped(done.error)}", soft_wrap=True)
    messages().print(f"Run {done.run_id}: see it with `taxi dev`.", soft_wrap=True)
    return done.error is None


def show_entries(loads: Sequence[LoadEntry]) -> None:
    """Prints what the load log says of the months: the counts, then why rows were rejected."""
    if not loads:
        return
    messages().print("\nIn the stores:")
    numbers = ("read", "kept", "rejected", "seconds")
    shown = table("month", "store", *numbers, "where", right=numbers)
    for load in loads:
        made_up = " (made up)" if load.configuration.get("made_up") else ""
        counts = [f"{count:,}" for count in (load.rows_read, load.rows_kept, load.rows_rejected)]
        seconds = "" if load.seconds is None else f"{load.seconds:.1f}"
        shown.add_row(f"{month_name(load.source_month)}{made_up}", load.store, *counts, seconds, load.place)
    messages().print(shown)
    _show_reasons(loads)


def _show_reasons(loads: Sequence[LoadEntry]) -> None:
    by_month = {load.source_month: load.rejected for load in loads}
    reasons: Counter[str] = Counter()
    for rejected in by_month.values():
        reasons.update(rejected)
    shown = table("rejected because", "rows", right=("rows",))
    for reason, rows in reasons.most_common():
        shown.add_row(escaped(reason), f"{rows:,}")
    messages().print()
    messages().print(shown)
