"""`taxi run --dry-run`: prints what the run would do, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import cache
from typing import TYPE_CHECKING, Any

from taxi_assets.automation.loaded import MonthSelection, entries, outdated_months
from taxi_assets.automation.plan import Asked, Plan, PlannedMonth, Step, make_plan
from taxi_assets.cli.database import reader
from taxi_assets.cli.options import RunOptions
from taxi_assets.cli.results import Format, print_document, print_table, standard_output
from taxi_assets.cli.run import OUTDATED, STORE_NAMES, available, chosen_stores, refuse_synthetic
from taxi_assets.cli.screen import escaped, messages
from taxi_assets.environment import SAMPLE, Environment
from taxi_assets.pipeline_conflicts import refuse_mixing
from taxi_assets.pipelines import pipeline_for, read_pipelines
from taxi_assets.settings import settings
from taxi_assets.sources.source import TripSource, is_sample, source_from_settings, source_named
from taxi_assets.stores.postgres.connection import has_database
from taxi_assets.trips.months import month_name, parse_months

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

_COLUMNS = [column.name for column in fields(PlannedMonth)]
"""The columns of the CSV."""


def print_plan(name: str, months: str, only: Sequence[str], options: RunOptions, form: Format) -> None:
    """Prints what a run would do: what it fetches, loads and skips, why, where, and how long it takes.

    Args:
        name: The pipeline.
        months: A month, a range, or `outdated`.
        only: The stores to load; empty: all.
        options: The options of the run.
        form: How it is printed.

    Raises:
        TaxiError: The run would be refused; or the source or a store does not answer.
    """
    pipeline = pipeline_for(name)
    stores = chosen_stores(pipeline, only, options)
    refuse_mixing(pipeline, read_pipelines(), stores, Environment.here(), trial=bool(options.limit))

    @cache
    def source() -> TripSource:
        return source_named(options.source, settings()) if options.source else source_from_settings(settings())

    asked = Asked(source, is_sample(options.source, settings()), options.source, options.force, options.limit)
    if not asked.synthetic:
        source()
    with _database() as connection:
        if months == OUTDATED:
            chosen = outdated_months(connection, pipeline, stores) if connection else []
        else:
            chosen = parse_months(months)
        if not chosen:
            messages().print(f"No month of {name} is loaded by older rules or columns.")
            if form is not Format.TABLE:
                print_document({"pipeline": name, "months": []}, [], form, _COLUMNS)
            return
        wanted = MonthSelection(pipeline, stores, available(pipeline, chosen), trial=bool(options.limit))
        if connection and asked.synthetic and not (asked.force or asked.limit):
            refuse_synthetic(entries(connection, wanted))
        plan = make_plan(connection, wanted, asked)
    if form is Format.TABLE:
        _print(plan)
    else:
        print_document(plan.document(), map(_row, plan.months), form)


@contextmanager
def _database() -> Iterator[Connection | None]:
    """A connection of the reader; None where the embedded server was never started, and is not started now."""
    if not has_database(settings()):
        yield None
        return
    with reader() as connection:
        yield connection


def _print(plan: Plan) -> None:
    out = standard_output()
    numbers = ("bytes to fetch", "BigQuery jobs", "seconds") if plan.of(Step.LOAD) else ()
    rows = []
    for month in plan.months:
        unknown = "generated" if plan.source == SAMPLE else "not known"
        size = unknown if month.bytes is None else f"{month.bytes:,}"
        seconds = "not known" if month.seconds is None else f"{month.seconds:.1f}"
        counts = (size, str(month.jobs), seconds) if month.step is Step.LOAD else ("",) * len(numbers)
        rows.append([month_name(month.month), str(month.step), escaped("; ".join(month.reasons)), *counts])
    print_table(["month", "step", "why", *numbers], rows, right=numbers, sparse=True, prose="why", out=out)
    out.print(f"\nfrom {plan.source}", markup=False, soft_wrap=True)
    for store, place in plan.places.items():
        out.print(f"into {STORE_NAMES[store]}: {place}", markup=False, soft_wrap=True)
    out.print(_summary(plan), markup=False, soft_wrap=True)


def _row(month: PlannedMonth) -> dict[str, Any]:
    """A month of the plan, for CSV."""
    planned = asdict(month) | {"month": month_name(month.month), "reasons": "; ".join(month.reasons)}
    return planned if month.step is Step.LOAD else planned | {"bytes": None, "jobs": None, "seconds": None}


def _summary(plan: Plan) -> str:
    counts = [f"{len(plan.of(Step.LOAD))} to load", f"{len(plan.of(Step.SKIP))} loaded already"]
    if absent := plan.of(Step.ABSENT):
        counts.append(f"{len(absent)} not published")
    if plan.of(Step.LOAD):
        counts += [] if plan.bytes is None else [f"{plan.bytes:,} bytes to fetch"]
        counts += [f"{plan.jobs} jobs in BigQuery"] if "bigquery" in plan.places else []
    return f"\n{plan.pipeline}: {', '.join(counts)}. {_duration(plan)}Nothing was changed."


def _duration(plan: Plan) -> str:
    if not plan.of(Step.LOAD):
        return ""
    if plan.seconds is None:
        return "How long it takes is not known: the load log has no load to go by in each store. "
    return f"The stores need about {plan.seconds:.1f} s, as in the {plan.measured} loads of the load log. "
