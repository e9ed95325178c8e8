"""The tables in PostgreSQL, from the registry of columns: a partition for each month, comments, an index, rights.

A load makes no reader wait. A month's partition is created apart and attached, since `CREATE TABLE … PARTITION OF`
would lock the whole table. A new column needs that lock: its statement waits for a moment, gives way, and tries again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from tenacity import AttemptManager, Retrying, retry_if_exception_type, stop_after_delay, wait_random

from taxi_assets.errors import TaxiError, TransientError
from taxi_assets.stores.postgres.connection import LOADER, lock, reader_roles
from taxi_assets.stores.table import LONGEST_POSTGRES_TABLE, Table, TableRef
from taxi_assets.trips.columns import SOURCE_MONTH, Service

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

LOCK_MILLISECONDS = 200
"""How long a statement waits for the lock of a table: as long, readers that come after it wait, too."""
DDL_SECONDS = 60.0
"""How long such statements are tried again, while somebody reads the table all the time."""
WIDER = {
    "smallint": ("integer", "bigint", "double precision", "real", "numeric"),
    "integer": ("bigint", "double precision", "numeric"),
    "bigint": ("numeric",),
    "real": ("double precision",),
    "date": ("timestamp without time zone",),
    "character varying": ("text",),
}
"""Type in a table → the registry's types that every value of it fits into: the table takes the new one."""

REJECTED = "_rejected"


def tables(service: Service, ref: TableRef) -> tuple[Table, Table]:
    """The table of the trips, and `{table}_rejected` beside it.

    Raises:
        TaxiError: The name is too long for PostgreSQL.
    """
    if len(ref.name.encode()) > LONGEST_POSTGRES_TABLE:
        raise TaxiError(
            f"The table name {ref.name!r} is too long.",
            expected=f"at most {LONGEST_POSTGRES_TABLE} bytes: its partitions add to it",
            next_step="shorten it in the pipeline's YAML",
        )
    kept = f"{service.title} of New York, the trips that were kept; one partition a month of the TLC's files."
    rejected = f"{service.title} of New York, the rows that were left out of {ref.name}, and why."
    return (
        Table(ref, service.columns, kept, service.pickup),
        Table(ref.with_suffix(REJECTED), service.rejected_columns, rejected, service.pickup),
    )


def partition(table: Table, month: date) -> TableRef:
    """The partition of a month: `yellow_cab_data_2021_01`."""
    return table.ref.with_suffix(f"_{month:%Y_%m}")


def create_schema(connection: Connection, name: str) -> None:
    """Creates a schema where it is missing.

    Within a transaction, others that create it wait for the end of this one. (`IF NOT EXISTS` alone fails then.)
    """
    with connection.transaction():
        lock(connection, f"schema {name}")
        if not connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [name]).rowcount:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))


def ddl_attempts(connection: Connection, what: str, table: TableRef) -> Iterator[AttemptManager]:
    """Attempts at a transaction that changes a table, in a loop: each waits for the table's lock for a moment only.

    Between two attempts, whoever waits for the table gets it. Raises after `DDL_SECONDS`.

    Raises:
        TransientError: Others used the table all the time; names them.
    """
    attempts = Retrying(
        retry=retry_if_exception_type(psycopg.errors.LockNotAvailable),
        wait=wait_random(0.2, 1.0),
        stop=stop_after_delay(DDL_SECONDS),
        reraise=True,
    )
    try:
        yield from attempts
    except psycopg.errors.LockNotAvailable:
        raise TransientError(
            f"{what} cannot be changed: it is in use.",
            expected=f"its lock for a moment, within {DDL_SECONDS:g} seconds",
            found=_users(connection, table) or "its users have gone just now",
            where=str(table),
            intact="the table and every month in it",
            next_step="wait until these queries are over, or end them (SELECT pg_terminate_backend(…)); run it again",
        ) from None


def _wait_shortly(connection: Connection) -> None:
    connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_MILLISECONDS)))


def _users(connection: Connection, table: TableRef) -> str:
    """The processes that hold locks of the table and its partitions."""
    connection.execute("RESET ROLE")
    query = """
        SELECT DISTINCT
            format('process %%s (%%s) of %%s, since %%s', a.pid, a.application_name, a.usename, a.xact_start)
        FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.granted AND l.pid <> pg_backend_pid() AND l.relation IN (
            SELECT to_regclass(%(name)s) UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass(%(name)s))
    """
    rows = connection.execute(query, {"name": table.postgres.as_string(connection)}).fetchall()
    return "; ".join(user for (user,) in rows)


def prepare_table(connection: Connection, table: Table, roles: bool) -> None:
    """Creates the table where it is missing, adds the registry's new columns and comments, and widens types.

    A wider type of numbers rewrites the table: its readers wait for that, and for no other reader.

    Args:
        connection: A connection of the owner.
        table: The table.
        roles: Whether the roles exist, to be granted rights.

    Raises:
        TransientError: Others used the table all the time.
        TaxiError: Another table has this name, or a column has a type that does not become the registry's without loss.
    """
    if _existing(connection, table) == _declared(table):
        return
    for attempt in ddl_attempts(connection, f"The table {table}", table.ref):
        with attempt, connection.transaction():
            _wait_shortly(connection)
            lock(connection, f"shape {table}")
            existing = _existing(connection, table)
            if not existing:
                _create(connection, table, roles)
            _alter(connection, table, {name: type_name for name, type_name, _ in existing})
            _comment(connection, table)


def _declared(table: Table) -> set[tuple[str, str, str]]:
    return {(column.name, column.type.postgres, column.comment) for column in table.columns}


def _existing(connection: Connection, table: Table) -> set[tuple[str, str, str]]:
    """Name, type and comment of the registry's columns in the table; empty where there is no table."""
    rows = connection.execute(
        """
        SELECT pg_get_partkeydef(c.oid), a.attname, format_type(a.atttypid, a.atttypmod),
               coalesce(col_description(c.oid, a.attnum), '')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname = %s AND c.relname = %s
        """,
        [table.ref.namespace, table.ref.name],
    ).fetchall()
    if rows and rows[0][0] != f"LIST ({SOURCE_MONTH.name})":
        raise _foreign(
            table.ref, "a table that is not partitioned by source_month", "a table with one partition a month"
        )
    known: dict[str, str] = {column.name: column.type.postgres for column in table.columns}
    for _, name, type_name, _ in rows:
        wanted = known.get(name) or type_name
        if wanted != type_name and wanted not in WIDER.get(type_name.partition("(")[0], ()):
            raise _other_type(table.ref, name, type_name, wanted)
    return {(name, type_name, comment) for _, name, type_name, comment in rows if name in known}


def _alter(connection: Connection, table: Table, existing: Mapping[str, str]) -> None:
    """Adds the registry's new columns and widens types, in one statement."""
    changes = []
    for column in table.columns:
        name, type_name = sql.Identifier(column.name), sql.SQL(column.type.postgres)
        if existing and column.name not in existing:
            changes.append(sql.SQL("ADD COLUMN {} {}").format(name, type_name))
        elif existing.get(column.name, column.type.postgres) != column.type.postgres:
            changes.append(sql.SQL("ALTER COLUMN {} TYPE {}").format(name, type_name))
    if changes:
        connection.execute(sql.SQL("ALTER TABLE {} {}").format(table.ref.postgres, sql.SQL(", ").join(changes)))


def _other_type(table: TableRef, column: str, found: str, wanted: str) -> TaxiError:
    change = f'ALTER TABLE "{table.namespace}"."{table.name}" ALTER COLUMN "{column}" TYPE {wanted} USING …'
    return TaxiError(
        f"The column {column} of {table} has another type than the registry: the table was not made by this platform, "
        "or the type was changed.",
        expected=f"the type {wanted}, or one that becomes it without loss",
        found=f"a column {column} of type {found}",
        where=str(table),
        intact="that table and its rows",
        next_step=f"change it as its owner ({change}), or rename the table (ALTER TABLE … RENAME TO {table.name}_old) "
        "and load its months again, or choose another table or POSTGRES_SCHEMA",
    )


def _foreign(table: TableRef, found: str, expected: str) -> TaxiError:
    return TaxiError(
        f"The table {table} was not made by this platform.",
        expected=expected,
        found=found,
        intact="that table",
        next_step=f"rename it (ALTER TABLE … RENAME TO {table.name}_old), or choose another table or POSTGRES_SCHEMA",
    )


def _create(connection: Connection, table: Table, roles: bool) -> None:
    create_schema(connection, table.ref.namespace)
    columns = [
        sql.Identifier(column.name)
        + sql.SQL(" " + column.type.postgres)
        + sql.SQL(" NOT NULL" if column == SOURCE_MONTH else "")
        for column in table.columns
    ]
    create = sql.SQL("CREATE TABLE {} ({}) PARTITION BY LIST ({})")
    key = sql.Identifier(SOURCE_MONTH.name)
    connection.execute(create.format(table.ref.postgres, sql.SQL(", ").join(columns), key))
    if table.pickup:
        index = sql.SQL("CREATE INDEX ON {} USING brin ({})")
        connection.execute(index.format(table.ref.postgres, sql.Identifier(table.pickup)))
    if roles:
        usage = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}, {}")
        schema = sql.Identifier(table.ref.namespace)
        connection.execute(usage.format(schema, sql.Identifier(LOADER), reader_roles(connection)))
        _grant(connection, table.ref.postgres)


def _grant(connection: Connection, name: sql.Identifier) -> None:
    connection.execute(sql.SQL("GRANT SELECT, INSERT, DELETE ON {} TO {}").format(name, sql.Identifier(LOADER)))
    connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(name, reader_roles(connection)))


def _comment(connection: Connection, table: Table) -> None:
    on_table = sql.SQL("COMMENT ON TABLE {} IS {}")
    connection.execute(on_table.format(table.ref.postgres, sql.Literal(table.description)))
    for column in table.columns:
        name = sql.Identifier(table.ref.namespace, table.ref.name, column.name)
        connection.execute(sql.SQL("COMMENT ON COLUMN {} IS {}").format(name, sql.Literal(column.comment)))


def ensure_month(connection: Connection, table: Table, month: date, roles: bool) -> None:
    """Creates and attaches the month's partition, where it is missing.

    Args:
        connection: A connection of the owner.
        table: The table, after `prepare_table`.
        month: The month.
        roles: Whether the roles exist, to be granted rights.

    Raises:
        TaxiError: A table of the partition's name exists and is no partition.
    """
    if _attached(connection, table, month):
        return
    for attempt in ddl_attempts(connection, f"The partition {partition(table, month)}", table.ref):
        with attempt, connection.transaction():
            _wait_shortly(connection)
            lock(connection, f"shape {table}")
            if not _attached(connection, table, month):
                _attach(connection, table, month, roles)


def _attach(connection: Connection, table: Table, month: date, roles: bool) -> None:
    child = partition(table, month).postgres
    like = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)")
    connection.execute(like.format(child, table.ref.postgres))
    attach = sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})")
    connection.execute(attach.format(table.ref.postgres, child, sql.Literal(month)))
    if roles:
        _grant(connection, child)


def _attached(connection: Connection, table: Table, month: date) -> bool:
    child = partition(table, month)
    row = connection.execute(
        """
        SELECT c.relispartition FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = %s
        """,
        [child.namespace, child.name],
    ).fetchone()
    if row and not row[0]:
        raise _foreign(child, "a table of its own, or one that was detached", f"a partition of {table}")
    return bool(row)


def refresh(connection: Connection, names: Sequence[sql.Identifier], *, vacuum: bool) -> None:
    """Updates the planner's statistics of partitions. With `vacuum`, frees the space of deleted rows for new ones.

    The files are not truncated, which would lock readers out for a moment.
    """
    statement = sql.SQL("VACUUM (ANALYZE, TRUNCATE FALSE) {}") if vacuum else sql.SQL("ANALYZE {}")
    for name in names:
        connection.execute(statement.format(name))
