"""The load log, the ledger's table: which month is in each store, from which file, and who loaded it.

The table `taxi_assets.load_log` of PostgreSQL has a row for each load of a month into any store. Rows are only added:
the loader's role may do no more, and a trigger refuses the rest to everybody. What is in a store is what its own record
says: the lake's manifest, BigQuery's load log, and in PostgreSQL this table, written with the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import date
from typing import TYPE_CHECKING

from psycopg import sql
from psycopg.rows import dict_row

from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.connection import (
    LOADER,
    OWNER,
    PostgresAddress,
    clear_errors,
    connect,
    lock,
    roles_in_use,
    set_role,
)
from taxi_assets.stores.postgres.ledger import ensure_ledger, ledger_state
from taxi_assets.stores.record import same_load

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


_COLUMNS = ", ".join(column.name for column in fields(LoadEntry) if column.name not in ("id", "loaded_at"))


def log_exists(connection: Connection) -> bool:
    """Whether any load has created the log."""
    # Not to_regclass: within a transaction it may answer from a cache that is older than the lock.
    query = "SELECT FROM pg_tables WHERE schemaname = 'taxi_assets' AND tablename = 'load_log'"
    return bool(connection.execute(query).rowcount)


def ensure_log(connection: Connection, roles: bool) -> None:
    """Creates the log where it is missing, and migrates it: see `ensure_ledger`.

    Args:
        connection: A connection of the owner.
        roles: Whether the roles exist, to be granted rights.
    """
    ensure_ledger(connection, roles)


def ledger_identity(connection: Connection) -> str | None:
    """The identity of the ledger; None: it has none yet."""
    state = ledger_state(connection)
    return state.identity if state else None


def write_load(connection: Connection, entry: LoadEntry) -> int:
    """Adds a load into any store; returns its id. The connection is one of the loader."""
    query = sql.SQL(
        f"INSERT INTO taxi_assets.load_log ({_COLUMNS}) SELECT {_COLUMNS} "  # noqa: S608
        "FROM jsonb_populate_record(NULL::taxi_assets.load_log, %s::text::jsonb) RETURNING id"
    )
    rows = connection.execute(query, [json.dumps(asdict(entry), default=str)]).fetchall()
    return int(rows[0][0])


def latest_loads(
    connection: Connection,
    *,
    store: str | None = None,
    pipeline: str | None = None,
    months: Sequence[date] | None = None,
) -> list[LoadEntry]:
    """The newest load of each store, place and month, oldest month first; None: all stores, pipelines, months.

    The newest has the highest token, which orders two writers of a bucket, then the highest id.
    """
    if not log_exists(connection):
        return []
    query = """
        SELECT * FROM (
            SELECT DISTINCT ON (store, place, source_month) * FROM taxi_assets.load_log
            WHERE (%(store)s::text IS NULL OR store = %(store)s)
              AND (%(months)s::date[] IS NULL OR source_month = ANY(%(months)s))
            ORDER BY store, place, source_month, (configuration ->> 'token')::bigint DESC NULLS LAST, id DESC
        ) AS load
        WHERE %(pipeline)s::text IS NULL OR coalesce(to_jsonb(load) ->> 'pipeline', service) = %(pipeline)s
        ORDER BY store, service, source_month, place
    """
    # As JSON: a ledger that this code has not migrated yet lacks the column.
    wanted = {"store": store, "pipeline": pipeline, "months": list(months) if months is not None else None}
    with connection.cursor(row_factory=dict_row) as cursor:
        known = {column.name for column in fields(LoadEntry)}
        rows = cursor.execute(query, wanted).fetchall()
    return [LoadEntry(**{name: value for name, value in row.items() if name in known}) for row in rows]


@contextmanager
def log_writer(address: PostgresAddress, application: str) -> Iterator[Connection]:
    """Connects as the loader, to a ledger of this code's version: makes or migrates it before.

    Raises:
        TransientError: The database cannot be reached.
        TaxiError: The ledger is newer than this code.
    """
    with connect(address, application) as connection:
        if roles := roles_in_use(connection, address):
            connection.execute(set_role(OWNER))
        ensure_log(connection, roles)
        if roles:
            connection.execute(set_role(LOADER))
        yield connection


def write_missing(address: PostgresAddress, entries: Sequence[LoadEntry]) -> list[LoadEntry]:
    """Adds loads that their stores have and the ledger lacks; returns those that it still lacked.

    Their runs were killed between the two.

    Args:
        address: The server.
        entries: The loads, by the stores' own records.
    """
    if not entries:
        return []
    with clear_errors(address, "Adding to the ledger"), log_writer(address, "taxi log") as connection:
        return [entry for entry in entries if _write_missing(connection, entry)]


def _write_missing(connection: Connection, entry: LoadEntry) -> bool:
    with connection.transaction():
        lock(connection, f"log {entry.place} {entry.source_month}")
        known = latest_loads(connection, store=entry.store, months=[entry.source_month])
        missing = not any(load.place == entry.place and same_load(entry, load) for load in known)
        if missing:
            write_load(connection, entry)
        return missing
