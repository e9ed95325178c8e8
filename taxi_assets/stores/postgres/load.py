"""Loads a month into PostgreSQL: the old rows go and the new ones come in one transaction, which checks itself.

Readers see the old month until the commit, and never wait. Where the process dies, the server rolls back; the next load
starts over. The rows go as Arrow batches into ADBC's binary COPY.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from taxi_assets.errors import TaxiError
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.postgres.connection import (
    LOADER,
    OWNER,
    PostgresAddress,
    connect,
    connect_as,
    roles_in_use,
    set_role,
)
from taxi_assets.stores.postgres.errors import clear_errors
from taxi_assets.stores.postgres.load_log import ensure_log, entry_json, insert_statement
from taxi_assets.stores.postgres.lock import WAIT_SECONDS, lock_month, one
from taxi_assets.stores.postgres.schema import Table, ensure_month, prepare_table, refresh, tables
from taxi_assets.stores.provenance import NO_RUN, Provenance
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.months import month_name
from taxi_assets.trips.table import TripTable
from taxi_assets.trips.values import CENTS_SQL

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection as AdbcConnection
    from adbc_driver_manager.dbapi import Cursor

BATCH_ROWS = 1_024
"""Measured: as many go into the socket at once, so that client and server work side by side: 1.6 s for 1.37 million
rows, where batches of 16,384 take 2.8 s."""

Progress = Callable[[int], None]
"""Is told the rows sent so far."""

_refreshing = ThreadPoolExecutor(1, "taxi-refresh")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadResult:
    """What a load did.

    Attributes:
        rows: Rows written to the table.
        rejected_rows: Rows written to the table of rejected rows.
        replaced_rows: Rows of the month that stood in the table before.
        seconds: How long it took; the planner's counts are refreshed afterwards, in the background.
        log_id: Its number in the log of loads.
        place: The table.
    """

    rows: int
    rejected_rows: int
    replaced_rows: int
    seconds: float
    log_id: int
    place: str


def load_month(
    address: PostgresAddress,
    month: CleanedMonth,
    table: TableRef,
    provenance: Provenance = NO_RUN,
    *,
    progress: Progress | None = None,
    wait_seconds: float = WAIT_SECONDS,
) -> LoadResult:
    """Replaces a month in its table and in the table of rejected rows, whole or not at all.

    Args:
        address: The server.
        month: The month's rows.
        table: The table; `{table}_rejected` is beside it.
        provenance: The run that loads.
        progress: Told the rows sent so far, batch by batch.
        wait_seconds: How long to wait for another load of the same month.

    Raises:
        TransientError: The server was lost, or another load of this month holds the lock.
        TaxiError: The server refused, or holds other rows than were sent; then nothing has changed.
    """
    began = time.monotonic()
    entry = month.entry("postgres", str(table), provenance)
    pair = tables(month.service, table.namespace, table.name)
    with clear_errors(address, f"Loading {month} into {entry.place}"):
        roles = _prepare(address, pair, month.month)
        with _transaction(address, f"taxi load {month} run {(provenance.run_id or '-')[:8]}", roles) as connection:
            cursor = connection.cursor()
            lock_month(cursor, f"{entry.place} {month_name(month.month)}", wait_seconds)
            replaced = _replace(cursor, pair[0], month.month, month.kept, progress)
            replaced_rejected = _replace(cursor, pair[1], month.month, month.rejected, None)
            _verify(cursor, pair[0], month.month, (entry.rows_kept, entry.cents))
            _verify(cursor, pair[1], month.month, (entry.rows_rejected, entry.cents_rejected))
            logged = entry_json(replace(entry, seconds=round(time.monotonic() - began, 3)))
            log_id = one(cursor, insert_statement("$1"), logged)
            cursor.close()
            connection.commit()
    # Nothing waits for it but the end of the process.
    _refreshing.submit(_refresh, address, pair, month.month, vacuum=replaced + replaced_rejected > 0)
    seconds = time.monotonic() - began
    return LoadResult(entry.rows_kept, entry.rows_rejected, replaced, seconds, log_id, entry.place)


def _prepare(address: PostgresAddress, pair: tuple[Table, Table], month: date) -> bool:
    with connect(address, "taxi prepare") as connection:
        roles = roles_in_use(connection, address)
        if roles:
            connection.execute(set_role(OWNER))
        ensure_log(connection, roles)
        for table in pair:
            prepare_table(connection, table, roles)
            ensure_month(connection, table, month, roles)
        return roles


@contextmanager
def _transaction(address: PostgresAddress, application: str, roles: bool) -> Iterator[AdbcConnection]:
    """An ADBC connection that works as the loader, in a transaction that ends with it."""
    from adbc_driver_postgresql import dbapi  # type: ignore[import-untyped]
    from psycopg.conninfo import make_conninfo

    with closing(dbapi.connect(make_conninfo(**address.parameters(application_name=application)))) as connection:
        with closing(connection.cursor()) as cursor:
            if roles:
                cursor.execute(set_role(LOADER).as_string(None))
        yield connection


def _replace(cursor: Cursor, table: Table, month: date, rows: TripTable, progress: Progress | None) -> int:
    """Deletes the month's rows and copies the new ones; returns how many were deleted."""
    child = table.partition_identifier(month)
    cursor.execute(sql.SQL("DELETE FROM {}").format(child).as_string(None))
    deleted = int(cursor.rowcount)
    if rows.rows:
        batches = _Batches(rows, progress)
        try:
            cursor.adbc_ingest(table.partition(month), batches.reader(), mode="append", db_schema_name=table.schema)
        except Exception:
            # ADBC wraps what reading raised into a text; what was raised says more.
            if batches.error is not None:
                raise batches.error from None
            raise
    return deleted


class _Batches:
    """The rows of a table as a stream that tells its progress and keeps the error that broke it."""

    def __init__(self, rows: TripTable, progress: Progress | None) -> None:
        self._rows = rows
        self._progress = progress
        self.error: Exception | None = None

    def reader(self) -> pa.RecordBatchReader:
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self._rows.schema, self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        sent = 0
        try:
            for batch in self._rows.batches(BATCH_ROWS):
                yield batch
                sent += batch.num_rows
                if self._progress:
                    self._progress(sent)
        except Exception as error:
            self.error = error
            raise


def _verify(cursor: Cursor, table: Table, month: date, expected: tuple[int, int]) -> None:
    """Counts what stands in the partition now, inside the transaction.

    Raises:
        TaxiError: It is not what was cleaned.
    """
    child = table.partition_identifier(month).as_string(None)
    cursor.execute(f"SELECT count(*), ({CENTS_SQL})::bigint FROM {child}")  # noqa: S608
    found = cursor.fetchone() or (0, 0)
    if found != expected:
        raise TaxiError(
            f"PostgreSQL holds other rows than were cleaned, in {table.schema}.{table.name} {month_name(month)}.",
            expected=f"{expected[0]} rows with {expected[1]} cents of total_amount",
            found=f"{found[0]} rows with {found[1]} cents",
            intact="the month as it was: the transaction was rolled back",
            next_step="see whether a trigger or a rule on the table changes rows; clean the month again",
        )


def _refresh(address: PostgresAddress, pair: tuple[Table, Table], month: date, *, vacuum: bool) -> None:
    """The load is done by now: what fails here is told and fails nothing."""
    try:
        with connect_as(OWNER, address, "taxi refresh") as connection:
            refresh(connection, [table.partition_identifier(month) for table in pair], vacuum=vacuum)
    except (TaxiError, psycopg.Error) as error:
        _logger.warning("%s is loaded, but the planner's counts were not refreshed: %s", pair[0].name, error)
