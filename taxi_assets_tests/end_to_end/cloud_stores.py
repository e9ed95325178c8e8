"""What stands in the lake and BigQuery of a home, asked past the command; and a request that a run is killed at."""

from __future__ import annotations

import io
import re
import threading
from collections import Counter
from dataclasses import dataclass, field

import pyarrow.parquet as pq

from taxi_assets.stores.bigquery.query import query
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.lake.manifest import read_manifests
from taxi_assets_tests.proxy import Answer, Forward, Request
from taxi_assets_tests.taxi_command import Taxi

NAME = re.compile(r"(?:[a-z]+_pickup_date=(?P<day>[^/]+)/)?(?P<pipeline>[a-z_]+)_(?P<month>\d{4}-\d{2})[^/]*$")


def google(taxi: Taxi) -> GoogleCloud:
    """The emulators of that home."""
    return GoogleCloud(home=str(taxi.home))


def jobs(taxi: Taxi) -> set[str]:
    """The ids of BigQuery's jobs."""
    return {job.job_id for job in google(taxi).bigquery().list_jobs(all_users=True)}


def objects(taxi: Taxi, prefix: str = "") -> dict[str, int]:
    """The objects of the bucket and their versions."""
    cloud = google(taxi)
    return {blob.name: int(blob.generation) for blob in cloud.storage().list_blobs(cloud.bucket, prefix=prefix)}


def by_day(taxi: Taxi, service: str) -> Counter[tuple[str, str]]:
    """Rows by source month and day folder, of all objects that stand there, read with pyarrow."""
    cloud = google(taxi)
    rows: Counter[tuple[str, str]] = Counter()
    for blob in cloud.storage().list_blobs(cloud.bucket, prefix=f"{service}/"):
        name = NAME.search(blob.name)
        assert name, blob.name
        # By its name: the emulator's link to it may name a proxy that is gone.
        content = blob.bucket.blob(blob.name).download_as_bytes()
        rows[name["month"], name["day"] or ""] += pq.ParquetFile(io.BytesIO(content)).metadata.num_rows
    return rows


def in_lake(taxi: Taxi, service: str) -> dict[str, int]:
    """Rows by month, of all objects that stand there."""
    rows: Counter[str] = Counter()
    for (month, _), count in by_day(taxi, service).items():
        rows[month] += count
    return dict(rows)


def in_bigquery(taxi: Taxi, table: str) -> dict[str, int]:
    """Rows by month."""
    sql = f"SELECT CAST(source_month AS STRING), COUNT(*) FROM {table} GROUP BY 1"
    with query(google(taxi), sql) as answer:
        return {month[:7]: count for month, count in answer.rows}


def tables(taxi: Taxi, dataset: str) -> set[str]:
    """The tables of a dataset."""
    return {table.table_id for table in google(taxi).bigquery().list_tables(dataset)}


def strays(taxi: Taxi, service: str) -> set[str]:
    """Objects of kept rows that no month's log names."""
    named = {found.name for load in read_manifests(google(taxi), service) for found in load.objects}
    return objects(taxi, f"{service}/").keys() - named


@dataclass
class Held:
    """A rule of the proxy: the server does what it is asked, and the client hears nothing of it.

    Attributes:
        arrived: The request is there, and goes on to the server.
        done: The server has answered.
        go: The client need not wait any longer: it was killed.
    """

    arrived: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: Request, forward: Forward) -> Answer:
        self.arrived.set()
        forward(request)
        self.done.set()
        self.go.wait(60)
        return Answer(None)
