"""The load log: which month is in each store, from which file, and who loaded it.

The table `taxi_assets.load_log` of PostgreSQL has a row for each load of a month into any store. A month is loaded if
it is in this table. Rows are only added: the loader's role may do no more, and a trigger refuses the rest to everybody.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date
from typing import TYPE_CHECKING

from psycopg import sql
from psycopg.rows import dict_row

from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.connection import LOADER, READER, lock

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


_DDL = """
CREATE SCHEMA IF NOT EXISTS taxi_assets;
CREATE TABLE taxi_assets.load_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    store text NOT NULL,
    service text NOT NULL,
    source_month date NOT NULL,
    place text NOT NULL,
    rows_read bigint NOT NULL,
    rows_kept bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    cents bigint NOT NULL,
    cents_rejected bigint NOT NULL,
    rejected jsonb NOT NULL,
    url text,
    sha256 text,
    etag text,
    last_modified text,
    source_bytes bigint,
    run_id text,
    started_by text,
    code_version text,
    configuration jsonb NOT NULL,
    seconds double precision,
    CHECK (rows_read = rows_kept + rows_rejected)
);
CREATE INDEX ON taxi_assets.load_log (store, service, source_month, place, id);
COMMENT ON TABLE taxi_assets.load_log IS
    'One row a load of a month of trips into a store: from which file, how much, by whom. Rows are only added.';
CREATE FUNCTION taxi_assets.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log of loads is only added to' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON taxi_assets.load_log
    FOR EACH STATEMENT EXECUTE FUNCTION taxi_assets.refuse_change();
"""
_GRANTS = """
GRANT USAGE ON SCHEMA taxi_assets TO {loader}, {reader};
GRANT SELECT, INSERT ON taxi_assets.load_log TO {loader};
GRANT SELECT ON taxi_assets.load_log TO {reader};
"""

_COLUMNS = ", ".join(column.name for column in fields(LoadEntry) if column.name not in ("id", "loaded_at"))


def log_exists(connection: Connection) -> bool:
    """Whether any load has created the log."""
    # Not to_regclass: within a transaction it may answer from a cache that is older than the lock.
    query = "SELECT FROM pg_tables WHERE schemaname = 'taxi_assets' AND tablename = 'load_log'"
    return bool(connection.execute(query).rowcount)


def ensure_log(connection: Connection, roles: bool) -> None:
    """Creates the log where it is missing.

    Args:
        connection: A connection of the owner.
        roles: Whether the roles exist, to be granted rights.
    """
    if log_exists(connection):
        return
    with connection.transaction():
        lock(connection, "log")
        if log_exists(connection):
            return
        connection.execute(_DDL)
        if roles:
            names = {"loader": sql.Identifier(LOADER), "reader": sql.Identifier(READER)}
            connection.execute(sql.SQL(_GRANTS).format(**names))


def insert_statement(placeholder: str) -> str:
    """The statement that adds a load, given as one JSON text, and returns its id."""
    return (
        f"INSERT INTO taxi_assets.load_log ({_COLUMNS}) SELECT {_COLUMNS} "  # noqa: S608
        f"FROM jsonb_populate_record(NULL::taxi_assets.load_log, {placeholder}::text::jsonb) RETURNING id"
    )


def entry_json(entry: LoadEntry) -> str:
    """The load as the JSON text for `insert_statement`."""
    return json.dumps(asdict(entry), default=str)


def write_load(connection: Connection, entry: LoadEntry) -> int:
    """Adds a load into any store; returns its id. The connection is one of the loader."""
    rows = connection.execute(insert_statement("%s"), [entry_json(entry)]).fetchall()
    return int(rows[0][0])


def latest_loads(
    connection: Connection,
    *,
    store: str | None = None,
    service: str | None = None,
    months: Sequence[date] | None = None,
) -> list[LoadEntry]:
    """The newest load of each store, place and month, oldest month first; None: all stores, services, months."""
    if not log_exists(connection):
        return []
    query = """
        SELECT DISTINCT ON (store, service, source_month, place) * FROM taxi_assets.load_log
        WHERE (%(store)s::text IS NULL OR store = %(store)s)
          AND (%(service)s::text IS NULL OR service = %(service)s)
          AND (%(months)s::date[] IS NULL OR source_month = ANY(%(months)s))
        ORDER BY store, service, source_month, place, id DESC
    """
    wanted = {"store": store, "service": service, "months": list(months) if months is not None else None}
    with connection.cursor(row_factory=dict_row) as cursor:
        known = {column.name for column in fields(LoadEntry)}
        rows = cursor.execute(query, wanted).fetchall()
    return [LoadEntry(**{name: value for name, value in row.items() if name in known}) for row in rows]
