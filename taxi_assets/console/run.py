"""`taxi run`: months of a service, fetched, cleaned and loaded through Dagster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date

from taxi_assets import progress
from taxi_assets.console.backfill import run_side_by_side
from taxi_assets.console.loaded import Wanted, already_loaded, entries
from taxi_assets.console.screen import Bars, Lines, messages, table
from taxi_assets.errors import TaxiError
from taxi_assets.pipelines import Pipeline, pipeline_of
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
    wanted = Wanted(pipeline, stores, _published_by_now(parse_months(months)))
    done = {} if force else already_loaded(wanted)
    for month in done:
        messages().print(f"{service} {month_name(month)}: loaded already from the same file (--force loads it again).")
    left = [month for month in wanted.months if month not in done]
    if len(left) == 1:
        failed = 0 if run_here(pipeline, left[0], stores, force=force) else 1
    else:
        failed = run_side_by_side(pipeline, left, stores, force=force) if left else 0
    show_entries(entries(wanted), f"{service}: {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


def _stores(pipeline: Pipeline, only: Sequence[str]) -> list[str]:
    names = [name for given in only for name in given.split(",")]
    if unknown := [name for name in names if name not in pipeline.stores]:
        raise TaxiError(
            f"The pipeline of {pipeline.service} has no store {unknown[0]!r}.",
            expected=f"one of: {', '.join(pipeline.stores)}",
            intact="nothing was started",
        )
    return [name for name in pipeline.stores if not names or name in names]


def _published_by_now(months: list[date]) -> list[date]:
    if next_month(months[-1]) > date.today():
        raise TaxiError(
            f"{month_name(months[-1])} is not published yet: the month is not over.",
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
        messages().print(f"[yellow]Check not passed:[/] {warning}", soft_wrap=True)
    if done.error:
        messages().print(f"[bold red]{name} failed.[/] {_plain(done.error)}", soft_wrap=True)
    messages().print(f"Run {done.run_id}: see it with `taxi dev`.", soft_wrap=True)
    return done.error is None


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def show_entries(loads: Sequence[LoadEntry], title: str) -> None:
    """Prints what the load log says of the months."""
    if not loads:
        return
    headings = ("month", "store", "read", "kept", "rejected", "of them", "where")
    shown = table(*headings, title=title, right=("read", "kept", "rejected"))
    for load in loads:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in load.rejected.items() if count)
        made_up = " (made up)" if load.configuration.get("made_up") else ""
        shown.add_row(
            f"{month_name(load.source_month)}{made_up}",
            load.store,
            f"{load.rows_read:,}",
            f"{load.rows_kept:,}",
            f"{load.rows_rejected:,}",
            reasons,
            load.place,
        )
    messages().print(shown)
