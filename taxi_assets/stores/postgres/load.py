"""Loads a month into PostgreSQL: one transaction deletes the old rows, copies the new ones and verifies them.

Readers see the old month until the commit, and never wait. If the process dies, the server rolls back, and the next
load starts over. The rows go as Arrow batches into ADBC's binary COPY.

An advisory lock, held by that transaction, lets one load of a month into a table run at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.guard import must_not_replace, refuse_worse
from taxi_assets.stores.month import NO_RUN, CleanedMonth, Provenance
from taxi_assets.stores.postgres.connection import (
    LOADER,
    OWNER,
    PostgresAddress,
    clear_errors,
    connect,
    connect_as,
    roles_in_use,
    set_role,
)
from taxi_assets.stores.postgres.held import held_months
from taxi_assets.stores.postgres.load_log import ensure_log, entry_json, insert_statement
from taxi_assets.stores.postgres.schema import ensure_month, partition, prepare_table, refresh, tables
from taxi_assets.stores.table import Table, TableRef
from taxi_assets.trips.months import month_name
from taxi_assets.trips.table import TripTable
from taxi_assets.trips.values import CENTS_SQL

if TYPE_CHECKING:
    import pyarrow as pa
    from adbc_driver_manager.dbapi import Connection as AdbcConnection
    from adbc_driver_manager.dbapi import Cursor

BATCH_ROWS = 1_024
"""Measured: such a batch fits into the socket's buffer, so that client and server work side by side: 1.6 s for 1.37
million rows, where batches of 16,384 take 2.8 s."""

WAIT_SECONDS = 300.0
"""How long a load waits for another one of the same month."""

_HOLDER = """
    WITH lock AS (SELECT hashtextextended($1, 0) AS key)
    SELECT format('process %s (%s) of %s, since %s', l.pid, a.application_name, a.usename,
                  coalesce(a.xact_start, a.backend_start))
    FROM lock, pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.classid::bigint = (lock.key >> 32) & 4294967295 AND l.objid::bigint = lock.key & 4294967295
"""

Progress = Callable[[int], None]
"""Called with the number of rows sent so far."""

_refreshing = ThreadPoolExecutor(1, "taxi-refresh")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadResult:
    """The result of a load.

    Attributes:
        rows: Rows written to the table.
        rejected_rows: Rows written to the table of rejected rows.
        replaced_rows: Rows of the month in the table before.
        seconds: How long it took, without the update of the planner's statistics in the background.
        log_id: Its id in the load log.
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
        progress: Called with the number of rows sent so far, batch by batch.
        wait_seconds: How long to wait for another load of the same month.

    Raises:
        TransientError: The connection was lost, or another load of this month holds the lock.
        TaxiError: The server refused, or holds other rows than were sent; nothing has changed.
    """
    began = time.monotonic()
    entry = month.entry("postgres", str(table), provenance)
    pair = tables(month.service, table)
    with clear_errors(address, f"Loading {month} into {entry.place}"):
        roles = _prepare(address, pair, month.month)
        with _transaction(address, f"taxi load {month} run {(provenance.run_id or '-')[:8]}", roles) as connection:
            cursor = connection.cursor()
            _lock_month(cursor, f"{entry.place} {month_name(month.month)}", wait_seconds)
            if must_not_replace(entry) and not provenance.replaces_real:
                refuse_worse(entry, held_months(cursor, entry, pair[0]))
            replaced = _replace(cursor, pair[0], month.month, month.kept, progress)
            replaced_rejected = _replace(cursor, pair[1], month.month, month.rejected, None)
            _verify(cursor, pair[0], month.month, (entry.rows_kept, entry.cents))
            _verify(cursor, pair[1], month.month, (entry.rows_rejected, entry.cents_rejected))
            logged = entry_json(replace(entry, seconds=round(time.monotonic() - began, 3)))
            log_id = _one(cursor, insert_statement("$1"), logged)
            cursor.close()
            connection.commit()
    # Only the end of the process waits for it.
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
    """An ADBC connection of the loader, in a transaction that ends with it."""
    from adbc_driver_postgresql import dbapi  # type: ignore[import-untyped]
    from psycopg.conninfo import make_conninfo

    with closing(dbapi.connect(make_conninfo(**address.parameters(application_name=application)))) as connection:
        with closing(connection.cursor()) as cursor:
            if roles:
                cursor.execute(set_role(LOADER).as_string(None))
        yield connection


def _lock_month(cursor: Any, name: str, wait_seconds: float = WAIT_SECONDS) -> None:
    """Takes the lock of a month in a place, for the rest of the transaction.

    Args:
        cursor: A cursor whose parameters are written `$1`.
        name: The place and the month: `ny_taxi.yellow_cab_data 2021-01`.
        wait_seconds: How long to wait for another load.

    Raises:
        TransientError: Another load holds it; names that load.
    """
    deadline = time.monotonic() + wait_seconds
    key = f"taxi_assets load {name}"
    while not _one(cursor, "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", key):
        if time.monotonic() > deadline:
            # The loader's role may not see the activity of others.
            cursor.execute("RESET ROLE")
            raise TransientError(
                f"Another load of {name} is under way.",
                expected=f"the lock of that month within {wait_seconds:g} seconds",
                found=_one(cursor, _HOLDER, key) or "it ended just now",
                intact="that month, as it was; the other load goes on",
                next_step="wait for the other load, or end it",
            )
        time.sleep(0.2)


def _one(cursor: Any, query: str, *parameters: str) -> Any:
    """The first value of the first row; None without rows."""
    cursor.execute(query, parameters)
    row = cursor.fetchone()
    return row[0] if row else None


def _replace(cursor: Cursor, table: Table, month: date, rows: TripTable, progress: Progress | None) -> int:
    """Deletes the month's rows and copies the new ones; returns how many were deleted."""
    target = partition(table, month)
    cursor.execute(sql.SQL("DELETE FROM {}").format(target.postgres).as_string(None))
    deleted = int(cursor.rowcount)
    if rows.rows:
        batches = _Batches(rows, progress)
        try:
            cursor.adbc_ingest(target.name, batches.reader(), mode="append", db_schema_name=target.namespace)
        except Exception:
            # ADBC turns an error of the reader into text; the error itself says more.
            if batches.error is not None:
                raise batches.error from None
            raise
    return deleted


class _Batches:
    """The rows of a table as a stream that reports its progress and keeps its error."""

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
    """Counts the partition inside the transaction.

    Raises:
        TaxiError: It does not hold the rows that were cleaned.
    """
    name = partition(table, month).postgres.as_string(None)
    cursor.execute(f"SELECT count(*), ({CENTS_SQL})::bigint FROM {name}")  # noqa: S608
    counted = cursor.fetchone() or (0, 0)
    if counted != expected:
        raise TaxiError(
            f"PostgreSQL holds other rows than were cleaned, in {table} {month_name(month)}.",
            expected=f"{expected[0]} rows with {expected[1]} cents of total_amount",
            found=f"{counted[0]} rows with {counted[1]} cents",
            intact="the month as it was: the transaction was rolled back",
            next_step="see whether a trigger or a rule on the table changes rows; clean the month again",
        )


def _refresh(address: PostgresAddress, pair: tuple[Table, Table], month: date, *, vacuum: bool) -> None:
    """Runs after the load. An error is a warning in the log."""
    try:
        with connect_as(OWNER, address, "taxi refresh") as connection:
            refresh(connection, [partition(table, month).postgres for table in pair], vacuum=vacuum)
    except (TaxiError, psycopg.Error) as error:
        _logger.warning("%s is loaded, but the planner's statistics were not updated: %s", pair[0], error)
