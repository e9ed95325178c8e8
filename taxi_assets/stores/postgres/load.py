"""Loads a month into PostgreSQL: one transaction deletes the old rows, copies the new ones and verifies them.

Readers see the old month until the commit, and never wait. If the process dies, the server rolls back, and the next
load starts over. The rows go from Parquet through `pgpq`, Arrow to PostgreSQL's binary format, into psycopg's COPY.

An advisory lock, held by that transaction, lets one load of a month into a table run at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, LiteralString

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
from taxi_assets.stores.postgres.load_log import ensure_log, write_load
from taxi_assets.stores.postgres.schema import ensure_month, partition, prepare_table, refresh, tables
from taxi_assets.stores.postgres.verify import totals
from taxi_assets.stores.table import Table, TableRef
from taxi_assets.trips.columns import has_amounts
from taxi_assets.trips.months import month_name
from taxi_assets.trips.table import TripTable

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

BATCH_ROWS = 4_096
"""Measured with a batch encoded ahead: 1.68 s for 1.25 million rows, 2.02 s with batches of 1,024, 1.75 s of 8,192."""

WAIT_SECONDS = 300.0
"""How long a load waits for another one of the same month."""
CANCEL_SECONDS = 5.0
"""How long an interrupted load waits for the server to cancel its COPY."""

_HOLDER = """
    WITH lock AS (SELECT hashtextextended(%s, 0) AS key)
    SELECT format('process %%s (%%s) of %%s, since %%s', l.pid, a.application_name, a.usename,
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
    application = f"taxi load {month} run {(provenance.run_id or '-')[:8]}"
    with clear_errors(address, f"Loading {month} into {entry.place}"), connect(address, application) as connection:
        _prepare(connection, address, pair, month.month)
        with connection.transaction():
            _lock_month(connection, f"{entry.place} {month_name(month.month)}", wait_seconds)
            if must_not_replace(entry) and not provenance.replaces_real:
                refuse_worse(entry, held_months(connection, entry, pair[0]))
            replaced = _replace(connection, pair[0], month.month, month.kept, progress)
            replaced_rejected = _replace(connection, pair[1], month.month, month.rejected, None)
            _verify(connection, pair[0], month.month, (entry.rows_kept, entry.cents))
            _verify(connection, pair[1], month.month, (entry.rows_rejected, entry.cents_rejected))
            log_id = write_load(connection, replace(entry, seconds=round(time.monotonic() - began, 3)))
    # Only the end of the process waits for it.
    _refreshing.submit(_refresh, address, pair, month.month, vacuum=replaced + replaced_rejected > 0)
    seconds = time.monotonic() - began
    return LoadResult(entry.rows_kept, entry.rows_rejected, replaced, seconds, log_id, entry.place)


def _prepare(connection: Connection, address: PostgresAddress, pair: tuple[Table, Table], month: date) -> None:
    """Creates what is missing as the owner, then goes on as the loader."""
    roles = roles_in_use(connection, address)
    if roles:
        connection.execute(set_role(OWNER))
    ensure_log(connection, roles)
    for table in pair:
        prepare_table(connection, table, roles)
        ensure_month(connection, table, month, roles)
    if roles:
        connection.execute(set_role(LOADER))


def _lock_month(connection: Connection, name: str, wait_seconds: float = WAIT_SECONDS) -> None:
    """Takes the lock of a month in a place, for the rest of the transaction.

    Args:
        connection: A connection, in a transaction.
        name: The place and the month: `ny_taxi.yellow_cab_data 2021-01`.
        wait_seconds: How long to wait for another load.

    Raises:
        TransientError: Another load holds it; names that load.
    """
    deadline = time.monotonic() + wait_seconds
    key = f"taxi_assets load {name}"
    while not _one(connection, "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", key):
        if time.monotonic() > deadline:
            # The loader's role may not see the activity of others.
            connection.execute("RESET ROLE")
            raise TransientError(
                f"Another load of {name} is under way.",
                expected=f"the lock of that month within {wait_seconds:g} seconds",
                found=_one(connection, _HOLDER, key) or "it ended just now",
                intact="that month, as it was; the other load goes on",
                next_step="wait for the other load, or end it",
            )
        time.sleep(0.2)


def _one(connection: Connection, query: LiteralString, parameter: str) -> Any:
    """The first value of the first row; None without rows."""
    row = connection.execute(query, [parameter]).fetchone()
    return row[0] if row else None


def _replace(connection: Connection, table: Table, month: date, rows: TripTable, progress: Progress | None) -> int:
    """Deletes the month's rows and copies the new ones; returns how many were deleted."""
    target = partition(table, month).postgres
    deleted = connection.execute(sql.SQL("DELETE FROM {}").format(target)).rowcount
    if rows.rows:
        copy_rows(connection, target, rows, progress)
    return deleted


def copy_rows(
    connection: Connection, target: sql.Identifier, rows: TripTable, progress: Progress | None = None
) -> None:
    """Appends rows to a table. While a batch is on its way to the server, the next one is read and encoded.

    Args:
        connection: A connection.
        target: The table; its columns have the names of the rows' and their types.
        rows: The rows.
        progress: Called with the number of rows sent so far.

    Raises:
        psycopg.Error: The server refused.
        OSError, pa.ArrowException: The rows cannot be read.
    """
    columns = sql.SQL(", ").join(map(sql.Identifier, rows.schema.names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(target, columns)
    with connection.cursor().copy(statement) as copy, ThreadPoolExecutor(1, "taxi-encode") as encoder:
        try:
            _send(copy, encoder, _encoded(rows), progress)
        except Exception:
            raise
        except BaseException:
            # An interrupt: else the server would end only when it has worked off what it has.
            with suppress(psycopg.Error):  # where the connection is lost, the interrupt is still what ends the load
                connection.cancel_safe(timeout=CANCEL_SECONDS)
            raise


def _send(
    copy: psycopg.Copy, encoder: ThreadPoolExecutor, parts: Iterator[tuple[bytes, int]], progress: Progress | None
) -> None:
    sent = 0
    ahead = encoder.submit(next, parts, None)
    while part := ahead.result():
        ahead = encoder.submit(next, parts, None)
        content, rows = part
        copy.write(content)
        sent += rows
        if progress and rows:
            progress(sent)


def _encoded(rows: TripTable) -> Iterator[tuple[bytes, int]]:
    """The rows in PostgreSQL's binary format of COPY, in parts, each with its row count."""
    from pgpq import ArrowToPostgresBinaryEncoder

    encoder = ArrowToPostgresBinaryEncoder(rows.schema)
    yield encoder.write_header(), 0
    for batch in rows.batches(BATCH_ROWS):
        yield encoder.write_batch(batch), batch.num_rows
    yield encoder.finish(), 0


def _verify(connection: Connection, table: Table, month: date, expected: tuple[int, int]) -> None:
    """Counts the partition inside the transaction.

    Raises:
        TaxiError: It does not hold the rows that were cleaned.
    """
    query = sql.SQL("SELECT {} FROM {}").format(totals(has_amounts(table.columns)), partition(table, month).postgres)
    counted = connection.execute(query).fetchone() or (0, 0)
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
