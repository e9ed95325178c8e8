"""`taxi verify`: counts every loaded month in every store, and compares it with the store's own load log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from taxi_assets.cli.database import reader
from taxi_assets.cli.screen import messages, table
from taxi_assets.pipeline import PipelineSpec, pipeline_for, read_pipelines
from taxi_assets.settings import settings
from taxi_assets.stores.month import VerifiedMonth
from taxi_assets.stores.postgres import verify as postgres
from taxi_assets.trips.months import month_name, parse_months

if TYPE_CHECKING:
    from rich.table import Table


def verify_loads(service: str | None, months: str | None) -> int:
    """Prints the months that differ; returns 1 if any does.

    Raises:
        TaxiError: The service or a month is none; a store cannot be reached.
    """
    pipelines = [pipeline_for(service)] if service else list(read_pipelines().values())
    wanted = parse_months(months) if months else None
    loaded = [*_in_postgres(service, wanted), *(month for pipeline in pipelines for month in _in_cloud(pipeline))]
    selected = [month for month in loaded if wanted is None or month.month in wanted]
    differing = [month for month in selected if not month.agrees]
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
        yield from postgres.verify_months(connection, service, months)


def _in_cloud(pipeline: PipelineSpec) -> Iterator[VerifiedMonth]:
    from taxi_assets.files import work_folder
    from taxi_assets.stores.bigquery import verify as bigquery
    from taxi_assets.stores.google.resource import GoogleCloud
    from taxi_assets.stores.lake import verify as lake

    cloud = GoogleCloud.from_settings(settings())
    if pipeline.lake:
        with work_folder(Path(cloud.home), f"verify-{pipeline.service}") as folder:
            yield from lake.verify_months(cloud, pipeline.service, folder)
    if pipeline.bigquery:
        yield from bigquery.verify_months(cloud, pipeline.service, pipeline.bigquery)


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
