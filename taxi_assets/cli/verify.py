"""`taxi verify`: counts every loaded month in every store, and compares it with the store's own load log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from taxi_assets.cli.database import reader
from taxi_assets.cli.screen import messages, table
from taxi_assets.pipeline import PipelineSpec, pipeline_for, read_pipelines
from taxi_assets.settings import settings
from taxi_assets.stores.postgres import verify as postgres_verify
from taxi_assets.trips.months import month_name, parse_months

if TYPE_CHECKING:
    from rich.table import Table

    from taxi_assets.stores.google.resource import GoogleCloud


@dataclass(frozen=True)
class VerifiedMonth:
    """A month in a store, compared with its load log.

    Attributes:
        store: `postgres`, `lake` or `bigquery`.
        service: The service.
        month: The month of the file.
        location: The table, the object or the folder.
        logged: Rows and whole cents by the load log; None if it has no load.
        counted: Rows and whole cents in the store.
    """

    store: str
    service: str
    month: date
    location: str
    logged: tuple[int, int] | None
    counted: tuple[int, int]


def verify_loads(service: str | None, months: str | None) -> int:
    """Prints the months that differ; returns 1 if any does.

    Raises:
        TaxiError: The service or a month is none; a store cannot be reached.
    """
    pipelines = [pipeline_for(service)] if service else list(read_pipelines().values())
    wanted = parse_months(months) if months else None
    loaded = [*_in_postgres(service, wanted), *(month for pipeline in pipelines for month in _in_cloud(pipeline))]
    selected = [month for month in loaded if wanted is None or month.month in wanted]
    differing = [month for month in selected if month.logged != month.counted]
    if differing:
        messages().print("[bold red]What differs:[/]")
        messages().print(_table(differing))
    agreeing = len(selected) - len(differing)
    messages().print(f"{agreeing} of {len(selected)} loaded months agree with their load log, in rows and cents.")
    if not selected:
        messages().print("Nothing is loaded yet: taxi run yellow --months 2021-01")
    return 1 if differing else 0


def _in_postgres(service: str | None, months: list[date] | None) -> Iterator[VerifiedMonth]:
    with reader() as connection:
        for month in postgres_verify.verify_months(connection, service, months):
            entry = month.entry
            logged, counted = (entry.rows_kept, entry.cents), (month.rows, month.cents)
            yield VerifiedMonth("postgres", entry.service, entry.source_month, entry.place, logged, counted)


def _in_cloud(pipeline: PipelineSpec) -> Iterator[VerifiedMonth]:
    from taxi_assets.stores.google.resource import GoogleCloud

    cloud = GoogleCloud.from_settings(settings())
    if "lake" in pipeline.stores:
        yield from _in_lake(cloud, pipeline.service)
    yield from _in_bigquery(cloud, pipeline)


def _in_lake(cloud: GoogleCloud, service: str) -> Iterator[VerifiedMonth]:
    from taxi_assets.files import work_folder
    from taxi_assets.stores.lake.manifest import read_manifests
    from taxi_assets.stores.lake.verify import read_back

    with work_folder(Path(cloud.home), f"verify-{service}") as folder:
        for load in read_manifests(cloud, service):
            entry, read = load.entry, read_back(cloud, load, folder)
            logged, counted = (entry.rows_kept, entry.cents), (read.rows, read.cents)
            yield VerifiedMonth("lake", service, entry.source_month, entry.place, logged, counted)


def _in_bigquery(cloud: GoogleCloud, pipeline: PipelineSpec) -> Iterator[VerifiedMonth]:
    from taxi_assets.stores.bigquery.verify import verify_months

    table = pipeline.bigquery
    if table is None:
        return
    location = table.moved(namespace=cloud.dataset).in_database
    for month in verify_months(cloud, table):
        known = month.logged_rows is not None and month.logged_cents is not None
        logged = (month.logged_rows or 0, month.logged_cents or 0) if known else None
        yield VerifiedMonth("bigquery", pipeline.service, month.month, location, logged, (month.rows, month.cents))


def _table(differing: list[VerifiedMonth]) -> Table:
    numbers = ("rows logged", "rows found", "cents logged", "cents found")
    rows = table("store", "month", "where", *numbers, "next", right=numbers)
    for month in differing:
        name = month_name(month.month)
        logged = [f"{number:,}" for number in month.logged] if month.logged else ["no load", "no load"]
        counts = (logged[0], f"{month.counted[0]:,}", logged[1], f"{month.counted[1]:,}")
        command = f"taxi run {month.service} --months {name} --force"
        rows.add_row(month.store, f"{month.service} {name}", month.location, *counts, command)
    return rows
