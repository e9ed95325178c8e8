"""Readers of every store, who look all the time and note what is no whole version."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import pyarrow.compute as pc
import pyarrow.parquet as pq
from google.api_core.exceptions import NotFound

from taxi_assets.stores.lake.manifest import LakeLoad, read_manifest
from taxi_assets.stores.postgres.connection import READER, connect_as
from taxi_assets_tests.end_to_end.cloud_stores import google
from taxi_assets_tests.kills.versions import Month, State
from taxi_assets_tests.taxi_command import Taxi

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

PAUSE_SECONDS = 0.05


@dataclass
class Observed:
    """What the readers saw.

    Attributes:
        looks: Reader → how often it looked.
        violations: What was no whole version, with the reader's name.
        errors: Errors of the readers themselves.
    """

    looks: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


Reader = Callable[[], str | None]
"""Looks once, and returns what is wrong."""


def all_stores(taxi: Taxi, months: Sequence[Month], days: Sequence[set[str]]) -> dict[str, Reader]:
    """A reader for each store and month, by name.

    Args:
        taxi: The platform, with a version of each month in every store.
        months: The months.
        days: The names of green's day objects in each version.
    """
    readers: dict[str, Reader] = {}
    for month in months:
        for kind in (postgres, bigquery, manifest):
            readers[f"{kind.__name__} {month.service}"] = kind(taxi, month)
        readers[f"listing {month.service}"] = (
            listed_days(taxi, month, days) if month.service == "green" else listed_month(taxi, month)
        )
    return readers


@contextmanager
def watching(readers: Mapping[str, Reader]) -> Iterator[Observed]:
    """Runs the readers, each in its own thread, during the block."""
    observed, over = Observed(), threading.Event()
    threads = [threading.Thread(target=_look, args=(name, reader, observed, over)) for name, reader in readers.items()]
    for thread in threads:
        thread.start()
    try:
        yield observed
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def _look(name: str, reader: Reader, observed: Observed, over: threading.Event) -> None:
    while not over.is_set():
        try:
            if wrong := reader():
                observed.violations.append(f"{name}: {wrong}")
        except Exception as error:
            observed.errors.append(f"{name}: {type(error).__name__}: {error}"[:500])
        observed.looks[name] += 1
        time.sleep(PAUSE_SECONDS)


def _whole(month: Month, state: State) -> str | None:
    return None if state in month.states.values() else f"{state}, which is none of {month.states}"


def postgres(taxi: Taxi, month: Month) -> Reader:
    """The table and the table of rejected rows, in one snapshot."""
    where = f"WHERE source_month = '{month.name}-01'"
    query = f"""SELECT k.rows, k.cents::bigint, (SELECT count(*) FROM {month.table}_rejected {where}) FROM
        (SELECT count(*) AS rows, sum(round((total_amount * 100)::numeric)) AS cents FROM {month.table} {where}) k"""
    connection = connect_as(READER, taxi.database())

    def look() -> str | None:
        (row,) = connection.execute(query.encode()).fetchall()
        return _whole(month, State(*row))

    return look


def bigquery(taxi: Taxi, month: Month) -> Reader:
    """The table and the table of rejected rows, in one query."""
    where = f"WHERE source_month = '{month.name}-01'"
    query = f"""SELECT (SELECT COUNT(*) FROM {month.table} {where}),
        (SELECT CAST(SUM(ROUND(total_amount * 100)) AS INT64) FROM {month.table} {where}),
        (SELECT COUNT(*) FROM {month.table}_rejected {where})"""
    client = google(taxi).bigquery()

    def look() -> str | None:
        (row,) = client.query_and_wait(query)
        return _whole(month, State(*row.values()))

    return look


def manifest(taxi: Taxi, month: Month) -> Reader:
    """The objects that the lake's manifest names."""
    cloud = google(taxi)
    bucket = cloud.storage().bucket(cloud.bucket)
    first = date.fromisoformat(f"{month.name}-01")

    def look() -> str | None:
        load = read_manifest(cloud, month.service, first)
        while load:
            try:
                return _whole(month, _named(bucket, load))
            except NotFound as error:
                again = read_manifest(cloud, month.service, first)
                if again == load:
                    return f"the manifest names what is gone: {error}"
                load = again
        return "there is no manifest"

    return look


def _named(bucket: Bucket, load: LakeLoad) -> State:
    kept = [_counted(bucket, item.name) for item in load.objects]
    rejected, _ = _counted(bucket, load.rejected.name)
    return State(sum(rows for rows, _ in kept), sum(cents for _, cents in kept), rejected)


def _counted(bucket: Bucket, name: str) -> tuple[int, int]:
    content = bucket.blob(name).download_as_bytes()
    amounts = pq.read_table(io.BytesIO(content), columns=["total_amount"])["total_amount"]
    return len(amounts), int(pc.sum(pc.round(pc.multiply(amounts, 100.0))).as_py() or 0)


def listed_month(taxi: Taxi, month: Month) -> Reader:
    """The month's one object, under the name that people know."""
    cloud = google(taxi)
    bucket = cloud.storage().bucket(cloud.bucket)
    states = {(state.rows, state.cents) for state in month.states.values()}

    def look() -> str | None:
        found = _counted(bucket, f"{month.service}/{month.service}_{month.name}.parquet")
        return None if found in states else f"{found}, which is none of {states}"

    return look


def listed_days(taxi: Taxi, month: Month, days: Sequence[set[str]]) -> Reader:
    """The day folders, as the bucket lists them: all days of one version at least."""
    cloud = google(taxi)
    bucket = cloud.storage().bucket(cloud.bucket)

    def look() -> str | None:
        names = {blob.name for blob in bucket.list_blobs(prefix=f"{month.service}/")}
        lost = [len(version - names) for version in days]
        return None if 0 in lost else f"{lost} objects of the versions are not listed"

    return look
