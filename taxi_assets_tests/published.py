"""Months of yellow trips that a real web server publishes, and the platform that waits for them."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from taxi_assets.automation.publication import publication_sensor
from taxi_assets.automation.run_requests import newest_months
from taxi_assets.automation.schedules import schedule
from taxi_assets.definitions import defs
from taxi_assets.pipeline import Publication, Schedule
from taxi_assets.pipelines import pipeline_for
from taxi_assets.settings import settings
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.postgres.connection import PostgresAddress, connect
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.trips.months import month_name
from taxi_assets_tests.faulty_server import FaultyServer
from taxi_assets_tests.registry import YELLOW
from taxi_assets_tests.trips.made import HEADER, arrow_trips, line

ASSETS = ("raw_taxi", "clean_taxi", "rejected_taxi", "postgres_table")


def csv_body(rows: int) -> bytes:
    """A month of so many trips, as the mirror publishes it."""
    lines = [f"{HEADER},Airport_fee,cbd_congestion_fee", *[f"{line()},0,0.75"] * rows]
    return gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0)


def parquet_body(rows: int) -> bytes:
    """The same as the TLC publishes it."""
    file = io.BytesIO()
    fees = pa.array([0.75] * rows)
    pq.write_table(arrow_trips(YELLOW, rows, Airport_fee=fees, cbd_congestion_fee=fees), file)
    return file.getvalue()


def csv_path(month: date) -> str:
    return f"/yellow/yellow_tripdata_{month_name(month)}.csv.gz"


def parquet_path(month: date) -> str:
    return f"/trip-data/yellow_tripdata_{month_name(month)}.parquet"


@dataclass
class Waiting:
    """The platform in this process: what its schedules and sensors ask for, and runs as the daemon would start them.

    Attributes:
        server: Its source.
        instance: Dagster's.
        postgres: Its database.
        schema: Where it loads.
    """

    server: FaultyServer
    instance: dg.DagsterInstance
    postgres: PostgresAddress
    schema: str
    cursor: str | None = None

    def __post_init__(self) -> None:
        self.job = defs().get_repository_def().get_job("yellow_taxi_etl")
        self.resources: Mapping[str, Any] = {
            "postgres": PostgresResource.from_settings(settings()),
            "trip_source": TripSourceResource(),
        }
        self.pipeline = pipeline_for("yellow").model_copy(update={"lake": None, "bigquery": None})
        self.months = newest_months(self.pipeline, 3)
        self.sensor = publication_sensor(self.pipeline, Publication())
        self.schedule = schedule(self.pipeline, Schedule(cron="0 5 * * *"))

    def publish(self, month: date, rows: int) -> None:
        self.server.publish(csv_path(month), csv_body(rows))

    def look(self) -> tuple[dict[str, dg.RunRequest], str]:
        """What the sensor asks for by month, or why it asks for nothing; its cursor is kept from look to look."""
        context = dg.build_sensor_context(self.instance, cursor=self.cursor, resources=self.resources)
        found = self.sensor(context)
        if isinstance(found, dg.SkipReason):
            return {}, str(found.skip_message)
        assert isinstance(found, dg.SensorResult)
        self.cursor = found.cursor
        return _by_month(found.run_requests or ()), str(found.skip_reason.skip_message if found.skip_reason else "")

    def tick(self) -> tuple[dict[str, dg.RunRequest], str]:
        """The same of the schedule."""
        context = dg.build_schedule_context(self.instance, resources=self.resources)
        found: Any = self.schedule(context)
        if isinstance(found, dg.SkipReason):
            return {}, str(found.skip_message)
        return _by_month(found), ""

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Runs what was requested."""
        return self.job.execute_in_process(
            partition_key=request.partition_key,
            tags=dict(request.tags),
            instance=self.instance,
            asset_selection=[dg.AssetKey(["yellow", name]) for name in ASSETS],
            raise_on_error=False,
        )

    def rows(self) -> dict[str, int]:
        """Rows by month that are loaded."""
        query = f"SELECT to_char(source_month, 'YYYY-MM'), count(*) FROM {self.schema}.yellow_cab_data GROUP BY 1"
        with connect(self.postgres) as connection:
            try:
                return {month: int(count) for month, count in connection.execute(query.encode())}
            except psycopg.errors.UndefinedTable:
                return {}


def _by_month(requests: Iterable[dg.RunRequest]) -> dict[str, dg.RunRequest]:
    return {str(request.partition_key): request for request in requests}
