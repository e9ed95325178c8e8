"""Ways to replace a month in PostgreSQL while people read it: how long each takes, and how long readers wait.

    python -m benchmarks.replace_month [--rows 1369765] [--repeat 3]

Each way replaces the same month of synthetic trips in a table of its own on a server of its own, while two readers
count the month again and again and a third holds a long transaction on the table, as an analyst's notebook does:

- delete: DELETE and COPY into the month's partition in one transaction, then VACUUM (what `load_month` does)
- detach: COPY into a new table, then DETACH the old partition and ATTACH the new one
- truncate: TRUNCATE and COPY in one transaction

Columns: seconds until the new month is committed; the longest that a reader waited for an answer, once with the short
readers alone and once with the long one; megabytes on disk afterwards. A wait above the limit of 5 seconds is a failure
of that way: it would have gone on until the long reader ends.

Measured on two shared cores, 1,369,765 rows: delete 3.3 – 3.4 s with readers waiting 107 ms at most (for a core, not
for a lock), beside the long reader too; detach 2.8 – 2.9 s and 210 ms, but beside the long reader it and every reader
behind it stand still; truncate 2.6 – 2.8 s, all of which readers wait. Delete costs twice the disk, once: the next
load uses the space again.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psycopg
import pyarrow as pa
from psycopg.sql import Identifier
from rich.console import Console
from rich.table import Table

from taxi_assets.local import postgres as embedded
from taxi_assets.stores.postgres.connection import PostgresAddress, connect
from taxi_assets.stores.postgres.load import copy_rows
from taxi_assets.trips.columns import ColumnType
from taxi_assets.trips.registry import read_service
from taxi_assets.trips.table import TripTable, table_writer

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

MONTH = date(2021, 1, 1)
LIMIT = "5s"
SERVICE = read_service("yellow")
COLUMNS = ", ".join(f"{column.name} {column.type.postgres}" for column in SERVICE.columns)


def made_up(path: Path, rows: int) -> TripTable:
    random = np.random.default_rng(1)
    with table_writer(path, SERVICE.schema) as writer:
        for start in range(0, rows, 65_536):
            size = min(65_536, rows - start)
            values = {
                ColumnType.SMALLINT: pa.array(random.integers(1, 260, size).astype("int16")),
                ColumnType.DOUBLE: pa.array(np.round(random.random(size) * 100, 2)),
                ColumnType.TEXT: pa.array(["N"] * size),
                ColumnType.DATETIME: pa.array(random.integers(1_609_459_200, 1_612_137_600, size) * 1_000_000),
                ColumnType.DATE: pa.array([MONTH] * size),
            }
            arrays = [values[column.type].cast(column.type.arrow) for column in SERVICE.columns]
            writer.write(pa.RecordBatch.from_arrays(arrays, schema=SERVICE.schema))
        return writer.finish({})


def by_delete(connection: Connection, trips: TripTable) -> None:
    connection.execute("DELETE FROM trips_2021_01")
    copy_rows(connection, Identifier("trips_2021_01"), trips)


def by_truncate(connection: Connection, trips: TripTable) -> None:
    connection.execute("TRUNCATE trips_2021_01")
    copy_rows(connection, Identifier("trips_2021_01"), trips)


def by_detach(connection: Connection, trips: TripTable) -> None:
    connection.execute("CREATE TABLE new_month (LIKE trips INCLUDING INDEXES)")
    connection.execute(f"ALTER TABLE new_month ADD CHECK (source_month = '{MONTH}')")
    copy_rows(connection, Identifier("new_month"), trips)
    connection.execute("ALTER TABLE trips DETACH PARTITION trips_2021_01")
    connection.execute(f"ALTER TABLE trips ATTACH PARTITION new_month FOR VALUES IN ('{MONTH}')")
    connection.execute("DROP TABLE trips_2021_01")
    connection.execute("ALTER TABLE new_month RENAME TO trips_2021_01")


WAYS: dict[str, Callable[[Connection, TripTable], None]] = {
    "delete": by_delete,
    "detach": by_detach,
    "truncate": by_truncate,
}


@contextmanager
def long_reader(address: PostgresAddress) -> Iterator[None]:
    with connect(address) as connection, connection.transaction():
        connection.execute("SELECT count(*) FROM trips")
        yield


@contextmanager
def short_readers(address: PostgresAddress, waits: list[float]) -> Iterator[None]:
    """Two that look up one row of the month's rows; the longest wait of each goes to `waits`, refusals as infinite."""
    done = threading.Event()

    def read() -> float:
        longest = 0.0
        with connect(address, options=f"-c statement_timeout={LIMIT}") as connection:
            while not done.is_set():
                began = time.monotonic()
                try:
                    connection.execute("SELECT total_amount FROM trips WHERE source_month = %s LIMIT 1", [MONTH])
                except psycopg.errors.QueryCanceled:
                    return float("inf")
                longest = max(longest, time.monotonic() - began)
                time.sleep(0.005)
        return longest

    with ThreadPoolExecutor(2) as pool:
        reading = [pool.submit(read) for _ in range(2)]
        time.sleep(0.1)
        try:
            yield
        finally:
            done.set()
            waits.extend(future.result() for future in reading)


def reset(address: PostgresAddress, trips: TripTable) -> None:
    with connect(address) as connection:
        connection.execute("DROP TABLE IF EXISTS trips, new_month")
        connection.execute(f"CREATE TABLE trips ({COLUMNS}) PARTITION BY LIST (source_month)")
        connection.execute("CREATE INDEX ON trips USING brin (tpep_pickup_datetime)")
        connection.execute(f"CREATE TABLE trips_2021_01 PARTITION OF trips FOR VALUES IN ('{MONTH}')")
        copy_rows(connection, Identifier("trips_2021_01"), trips)
        connection.execute("VACUUM (ANALYZE) trips_2021_01")


def replace(address: PostgresAddress, way: str, trips: TripTable, *, long: bool) -> tuple[float | None, float]:
    """Seconds until the commit, None where it gave up; and the longest wait of a reader."""
    waits: list[float] = []
    seconds: float | None = None
    with ExitStack() as stack:
        if long:
            stack.enter_context(long_reader(address))
        stack.enter_context(short_readers(address, waits))
        connection = stack.enter_context(connect(address, options=f"-c lock_timeout={LIMIT}"))
        began = time.monotonic()
        with suppress(psycopg.Error):
            with connection.transaction():
                WAYS[way](connection, trips)
            seconds = time.monotonic() - began
    return seconds, max(waits)


def megabytes(address: PostgresAddress) -> float:
    with connect(address) as connection:
        row = connection.execute("SELECT pg_total_relation_size('trips_2021_01') / 1e6").fetchone()
    return float(row[0]) if row else 0.0


def measure(address: PostgresAddress, way: str, trips: TripTable, repeat: int) -> list[str]:
    reset(address, trips)
    alone: list[tuple[float | None, float]] = []
    for _ in range(repeat):
        alone.append(replace(address, way, trips, long=False))
        with connect(address) as connection:
            connection.execute("VACUUM (ANALYZE, TRUNCATE FALSE) trips_2021_01")
    size = megabytes(address)
    beside, wait = replace(address, way, trips, long=True)
    seconds = [taken for taken, _ in alone if taken is not None]
    return [
        way,
        f"{min(seconds):.2f} – {max(seconds):.2f}",
        f"{max(longest for _, longest in alone) * 1000:.0f} ms",
        f"{beside:.2f}" if beside is not None else f"gave up after {LIMIT}",
        f"{wait * 1000:.0f} ms" if wait != float("inf") else f"over {LIMIT}",
        f"{size:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_369_765)
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    shown = Table("way", "seconds", "longest wait", "… beside a long reader: seconds", "longest wait", "MB after")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        server = embedded.ensure(home)
        try:
            address = PostgresAddress(str(server.folder), server.port, server.database, server.user)
            trips = made_up(Path(folder) / "trips.parquet", asked.rows)
            for way in WAYS:
                shown.add_row(*measure(address, way, trips, asked.repeat))
        finally:
            embedded.stop(home)
    Console().print(shown)


if __name__ == "__main__":
    main()
