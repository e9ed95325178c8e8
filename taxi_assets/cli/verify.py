"""`taxi verify`: every loaded month in every store, counted anew and held against the store's own log of loads."""

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
    """A month in a store, held against the log there.

    Attributes:
        store: `postgres`, `lake` or `bigquery`.
        service: The service.
        month: The month of the file.
        place: Where it stands.
        logged: Rows and whole cents that the log says; None: it knows no load.
        found: Rows and whole cents that stand there.
    """

    store: str
    service: str
    month: date
    place: str
    logged: tuple[int, int] | None
    found: tuple[int, int]


def verify_loads(service: str | None, months: str | None) -> int:
    """Prints what differs; returns 1 if anything does.

    Raises:
        TaxiError: A service or month that is none; a store that cannot be reached.
    """
    chosen = [pipeline_for(service)] if service else list(read_pipelines().values())
    wanted = parse_months(months) if months else None
    every = [*_in_postgres(service, wanted), *(held for pipeline in chosen for held in _in_the_cloud(pipeline))]
    found = [held for held in every if wanted is None or held.month in wanted]
    differing = [held for held in found if held.logged != held.found]
    if differing:
        messages().print("[bold red]What differs:[/]")
        messages().print(_table(differing))
    agreeing = len(found) - len(differing)
    messages().print(f"{agreeing} of {len(found)} loaded months agree with their load log, in rows and cents.")
    if not found:
        messages().print("Nothing is loaded yet: taxi run yellow --months 2021-01")
    return 1 if differing else 0


def _in_postgres(service: str | None, months: list[date] | None) -> Iterator[VerifiedMonth]:
    with reader() as connection:
        for month in postgres_verify.verify_months(connection, service, months):
            entry = month.entry
            logged, found = (entry.rows_kept, entry.cents), (month.rows, month.cents)
            yield VerifiedMonth("postgres", entry.service, entry.source_month, entry.place, logged, found)


def _in_the_cloud(pipeline: PipelineSpec) -> Iterator[VerifiedMonth]:
    from taxi_assets.stores.google.resource import GoogleCloud

    cloud = GoogleCloud.from_settings(settings())
    if "lake" in pipeline.stores:
        yield from _in_the_lake(cloud, pipeline.service)
    yield from _in_bigquery(cloud, pipeline)


def _in_the_lake(cloud: GoogleCloud, service: str) -> Iterator[VerifiedMonth]:
    from taxi_assets.files import work_folder
    from taxi_assets.stores.lake.manifest import read_manifests
    from taxi_assets.stores.lake.verify import read_back

    with work_folder(Path(cloud.home), f"verify-{service}") as folder:
        for load in read_manifests(cloud, service):
            entry, read = load.entry, read_back(cloud, load, folder)
            logged, found = (entry.rows_kept, entry.cents), (read.rows, read.cents)
            yield VerifiedMonth("lake", service, entry.source_month, entry.place, logged, found)


def _in_bigquery(cloud: GoogleCloud, pipeline: PipelineSpec) -> Iterator[VerifiedMonth]:
    from taxi_assets.stores.bigquery.verify import verify_months

    table = pipeline.bigquery
    if table is None:
        return
    place = table.moved(namespace=cloud.dataset).in_database
    for month in verify_months(cloud, table):
        known = month.logged_rows is not None and month.logged_cents is not None
        logged = (month.logged_rows or 0, month.logged_cents or 0) if known else None
        yield VerifiedMonth("bigquery", pipeline.service, month.month, place, logged, (month.rows, month.cents))


def _table(differing: list[VerifiedMonth]) -> Table:
    numbers = ("rows logged", "rows found", "cents logged", "cents found")
    shown = table("store", "month", "where", *numbers, "next", right=numbers)
    for held in differing:
        name = month_name(held.month)
        rows, cents = (f"{number:,}" for number in held.logged) if held.logged else ("no load", "no load")
        counted = (rows, f"{held.found[0]:,}", cents, f"{held.found[1]:,}")
        again = f"taxi run {held.service} --months {name} --force"
        shown.add_row(held.store, f"{held.service} {name}", held.place, *counted, again)
    return shown
