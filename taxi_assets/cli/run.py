"""`taxi run`: fetches, cleans and loads months of a pipeline through Dagster."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime

from taxi_assets.automation.absent import absent_months
from taxi_assets.automation.loaded import KnownMonth, MonthSelection, entries, known_months, outdated_months
from taxi_assets.cli.database import reader
from taxi_assets.cli.interrupts import INTERRUPTED
from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.outcome import Outcome, Status, count, print_absent, print_interrupted
from taxi_assets.cli.results import Format, print_document
from taxi_assets.cli.run_result import RunResult, print_result
from taxi_assets.cli.screen import messages
from taxi_assets.environment import Environment
from taxi_assets.errors import TaxiError, UsageError
from taxi_assets.local.services import begin_starting
from taxi_assets.pipeline import PipelineSpec
from taxi_assets.pipeline_conflicts import refuse_mixing
from taxi_assets.pipelines import pipeline_for, read_pipelines
from taxi_assets.settings import settings
from taxi_assets.sources.source import TripSource, source_from_settings, source_named
from taxi_assets.stores.month import LoadEntry
from taxi_assets.trips.months import month_name, parse_months
from taxi_assets.trips.registry import require_known

STORE_NAMES = {"postgres": "PostgreSQL", "lake": "the lake", "bigquery": "BigQuery"}
OUTDATED = "outdated"
"""Instead of months: those that were loaded by other rules or columns than today's."""


def run_months(
    name: str, months: str, only: Sequence[str], options: RunOptions, form: Format, *, detach: bool = False
) -> int:
    """Loads the months that are not loaded yet, prints their loads, and returns the exit code.

    Args:
        name: The pipeline.
        months: A month, a range, or `outdated`.
        only: The stores to load; empty: all.
        options: The options of the runs.
        form: How the result is printed.
        detach: Whether Dagster's daemon runs the months.

    Raises:
        TaxiError: The pipeline, a month or a store is none; a source or store does not answer or refuses.
    """
    began = time.monotonic()
    pipeline = pipeline_for(name)
    stores = chosen_stores(pipeline, only, options)
    refuse_mixing(pipeline, read_pipelines(), stores, Environment.here(), trial=bool(options.limit))
    source = source_named(options.source, settings()) if options.source else None
    options = options.resolved()
    chosen = _outdated(pipeline, stores) if months == OUTDATED else parse_months(months)
    if not chosen:
        messages().print(f"No month of {name} is loaded by older rules or columns.")
        if form is not Format.TABLE:
            print_result(RunResult(name), form)
        return 0
    wanted = MonthSelection(pipeline, stores, available(pipeline, chosen), trial=bool(options.limit))
    begin_starting(settings(), stores, options.source)
    known = {} if options.force or options.limit else _known(wanted, source)
    done = [month for month, found in known.items() if found.unchanged]
    for month in done:
        messages().print(f"{name} {month_name(month)}: loaded already from the same file (--force loads it again).")
    missing = [month for month in wanted.months if month not in done]
    unknown = [month for month in missing if month not in known]
    absent = absent_months(source or source_from_settings(settings()), pipeline.service, unknown)
    print_absent(absent)
    missing = [month for month in missing if month not in absent]
    if detach:
        return _detach(pipeline, missing, stores, options, form) or int(bool(absent))
    outcomes = _run(pipeline, missing, stores, options)
    if count(outcomes, Status.CANCELED, Status.NOT_BEGUN):
        print_interrupted(outcomes)
        return INTERRUPTED
    outcomes |= {month: Outcome(Status.NOT_PUBLISHED, error.details["Found"]) for month, error in absent.items()}
    loads = _loads(wanted) if missing else [load for month in done for load in known[month].loads]
    print_result(RunResult(name, loads, outcomes, done, wanted.trial, time.monotonic() - began), form)
    return 0 if count(outcomes, Status.LOADED) == len(outcomes) else 1


def _run(
    pipeline: PipelineSpec, months: Sequence[date], stores: Sequence[str], options: RunOptions
) -> dict[date, Outcome]:
    if not months:
        return {}
    from taxi_assets.cli.local_backfill import LocalBackfill

    name = f"{pipeline.name} {month_name(months[0])} to {month_name(months[-1])}, {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    tags = {"taxi/backfill": name} if len(months) > 1 else {}
    return LocalBackfill(pipeline, stores, options, tags).run(months)


def _detach(
    pipeline: PipelineSpec, months: Sequence[date], stores: Sequence[str], options: RunOptions, form: Format
) -> int:
    from taxi_assets.cli.detach import submit_backfill

    backfill, in_progress = submit_backfill(pipeline, months, stores, options) if months else (None, [])
    for month in in_progress:
        messages().print(f"{pipeline.name} {month_name(month)}: a run waits or is in progress already.")
    added = len(months) - len(in_progress)
    if backfill:
        messages().print(
            f"Backfill {backfill}, {added} month{'' if added == 1 else 's'}: the daemon runs it. "
            f"See it: taxi run --follow {backfill}",
            soft_wrap=True,
        )
    else:
        messages().print(f"{pipeline.name}: nothing for the daemon to run.")
    if form is not Format.TABLE:
        detached = {"backfill": backfill, "months": [month_name(month) for month in months if month not in in_progress]}
        print_document(detached, [{"backfill": backfill}], form)
    return 0


def _outdated(pipeline: PipelineSpec, stores: Sequence[str]) -> list[date]:
    with reader() as connection:
        return outdated_months(connection, pipeline, stores)


def _known(wanted: MonthSelection, source: TripSource | None) -> dict[date, KnownMonth]:
    source = source or source_from_settings(settings())
    with reader() as connection:
        newest = entries(connection, wanted)
        if source.synthetic:
            refuse_synthetic(newest)
        return known_months(connection, source, wanted, newest)


def _loads(wanted: MonthSelection) -> list[LoadEntry]:
    with reader() as connection:
        return entries(connection, wanted)


def refuse_synthetic(loads: Sequence[LoadEntry]) -> None:
    """Keeps synthetic trips from replacing real ones.

    Raises:
        TaxiError: One of the loads is of a real file.
    """
    for load in loads:
        if not load.configuration.get("made_up"):
            name = f"{load.pipeline} {month_name(load.source_month)}"
            raise TaxiError(
                f"{name} stands in {load.store} from a real file, and synthetic trips do not replace it.",
                expected="the source that it came from, in TAXI_SOURCE_URL or --source",
                found="no source: the sample source would generate the month",
                where=load.place,
                intact="every store",
                next_step=f"name the source (it was {load.url}), or replace the month all the same: --force",
            )


def chosen_stores(pipeline: PipelineSpec, only: Sequence[str], options: RunOptions) -> list[str]:
    """The stores that `--only` names and those that they are loaded from, in the order of loading.

    Raises:
        TaxiError: One is none of the pipeline's.
    """
    names = [name for given in only for name in given.split(",")]
    if unknown := [name for name in names if name not in pipeline.stores]:
        raise UsageError(
            f"The pipeline {pipeline.name} has no store {unknown[0]!r}.",
            expected=f"one of: {', '.join(pipeline.stores)}",
        )
    if options.limit:
        # A trial has a place in PostgreSQL alone.
        if others := [name for name in names if name != "postgres"]:
            raise UsageError(
                f"A trial of {options.limit:,} rows does not go to {STORE_NAMES[others[0]]}.",
                expected="--only postgres, or a whole month",
                next_step="leave out --limit, or run the trial with --only postgres",
            )
        names = ["postgres"]
    # BigQuery is loaded from the lake, which does not send an unchanged month again.
    needed = {"lake"} if "bigquery" in names else set()
    return [name for name in pipeline.stores if not names or name in {*names, *needed}]


def available(pipeline: PipelineSpec, months: list[date]) -> list[date]:
    """The months, all of which may be published.

    Raises:
        TaxiError: One is before the pipeline's first month, or not over.
    """
    require_known(pipeline.trips, months[0])
    if months[0] < pipeline.first_month:
        raise UsageError(
            f"{pipeline.name} {month_name(months[0])} is before the pipeline's first month.",
            expected=f"{month_name(pipeline.first_month)} or later",
            next_step="choose a later month",
        )
    if months[-1] >= date.today().replace(day=1):
        raise UsageError(
            f"{pipeline.name} {month_name(months[-1])} is not published yet: the month is not over.",
            expected="a month that is over; the TLC publishes it about two months after its end",
            next_step="choose an earlier month",
        )
    return months
