"""The tables in PostgreSQL, made from the registry of columns: one partition a month, comments, an index, rights.

Nothing here makes a reader wait: a month's partition is made apart and attached, which takes a lock that readers and
writers do not mind, where `CREATE TABLE … PARTITION OF` would lock the whole table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from psycopg import sql

from taxi_assets.errors import TaxiError
from taxi_assets.stores.postgres.connection import LOADER, READER
from taxi_assets.trips.columns import SOURCE_MONTH, Column, Service

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

REJECTED = "_rejected"
_LONGEST_NAME = 63
_LONGEST_SUFFIX = len(f"{REJECTED}_2021_01")


@dataclass(frozen=True)
class Table:
    """One partitioned table.

    Attributes:
        schema: Its schema.
        name: Its name.
        columns: Its columns, from the registry.
        comment: What it is.
        pickup: Its column with the time of pickup.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    comment: str
    pickup: str

    @property
    def identifier(self) -> sql.Identifier:
        """Its quoted name."""
        return sql.Identifier(self.schema, self.name)

    def partition(self, month: date) -> str:
        """The name of a month's partition: `yellow_cab_data_2021_01`."""
        return f"{self.name}_{month:%Y_%m}"

    def partition_identifier(self, month: date) -> sql.Identifier:
        """Its quoted name."""
        return sql.Identifier(self.schema, self.partition(month))


def tables(service: Service, schema: str, table: str) -> tuple[Table, Table]:
    """The table of the trips, and the one of rejected rows beside it.

    Raises:
        TaxiError: The name is too long for PostgreSQL.
    """
    if len(table.encode()) + _LONGEST_SUFFIX > _LONGEST_NAME:
        raise TaxiError(
            f"The table name {table!r} is too long.",
            expected=f"at most {_LONGEST_NAME - _LONGEST_SUFFIX} bytes: its partitions add to it",
            next_step="shorten it in the pipeline's YAML",
        )
    kept = f"{service.title} of New York, the trips that were kept; one partition a month of the TLC's files."
    rejected = f"{service.title} of New York, the rows that were left out of {table}, and why."
    return (
        Table(schema, table, service.columns, kept, service.pickup),
        Table(schema, table + REJECTED, service.rejected_columns, rejected, service.pickup),
    )


def prepare_table(connection: Connection, table: Table, roles: bool) -> None:
    """Makes the table where it is missing, and adds the registry's new columns and comments.

    Args:
        connection: Works as the owner.
        table: The table.
        roles: Whether the roles are there to be granted rights.

    Raises:
        TaxiError: Another table has this name.
    """
    if _found(connection, table) == _wanted(table):
        return
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '30s'")
        lock(connection, table)
        found = _found(connection, table)
        if not found:
            _create(connection, table, roles)
        for name, type_name, _ in _wanted(table):
            if found and name not in {column for column, _, _ in found}:
                added = sql.SQL("ALTER TABLE {} ADD COLUMN {} {}")
                connection.execute(added.format(table.identifier, sql.Identifier(name), sql.SQL(type_name)))
        _comment(connection, table)


def lock(connection: Connection, table: Table) -> None:
    """Waits until nobody else changes this table's shape; held until the transaction's end."""
    name = f"taxi_assets shape {table.schema}.{table.name}"
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def _wanted(table: Table) -> set[tuple[str, str, str]]:
    return {(column.name, column.type.postgres, column.comment) for column in table.columns}


def _found(connection: Connection, table: Table) -> set[tuple[str, str, str]]:
    """Name, type and comment of the registry's columns that the table has; empty where it is missing."""
    rows = connection.execute(
        """
        SELECT pg_get_partkeydef(c.oid), a.attname, format_type(a.atttypid, a.atttypmod),
               coalesce(col_description(c.oid, a.attnum), '')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname = %s AND c.relname = %s
        """,
        [table.schema, table.name],
    ).fetchall()
    if rows and rows[0][0] != f"LIST ({SOURCE_MONTH.name})":
        raise _foreign(table, "a table that is not partitioned by source_month", "a table with one partition a month")
    known = {column.name: column.type.postgres for column in table.columns}
    for _, name, type_name, _ in rows:
        if known.get(name, type_name) != type_name:
            raise _foreign(table, f"a column {name} of type {type_name}", f"the type {known[name]}")
    return {(name, type_name, comment) for _, name, type_name, comment in rows if name in known}


def _foreign(table: Table, found: str, expected: str) -> TaxiError:
    return TaxiError(
        f"The table {table.schema}.{table.name} was not made by this platform.",
        expected=expected,
        found=found,
        intact="that table",
        next_step=f"rename it (ALTER TABLE … RENAME TO {table.name}_old), or choose another table or POSTGRES_SCHEMA",
    )


def _create(connection: Connection, table: Table, roles: bool) -> None:
    schema = sql.Identifier(table.schema)
    if not connection.execute("SELECT FROM pg_namespace WHERE nspname = %s", [table.schema]).rowcount:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
    columns = [
        sql.Identifier(column.name)
        + sql.SQL(" " + column.type.postgres)
        + sql.SQL(" NOT NULL" if column == SOURCE_MONTH else "")
        for column in table.columns
    ]
    create = sql.SQL("CREATE TABLE {} ({}) PARTITION BY LIST ({})")
    key = sql.Identifier(SOURCE_MONTH.name)
    connection.execute(create.format(table.identifier, sql.SQL(", ").join(columns), key))
    index = sql.SQL("CREATE INDEX ON {} USING brin ({})")
    connection.execute(index.format(table.identifier, sql.Identifier(table.pickup)))
    if roles:
        usage = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}, {}")
        connection.execute(usage.format(schema, sql.Identifier(LOADER), sql.Identifier(READER)))
        _grant(connection, table.identifier)


def _grant(connection: Connection, name: sql.Identifier) -> None:
    connection.execute(sql.SQL("GRANT SELECT, INSERT, DELETE ON {} TO {}").format(name, sql.Identifier(LOADER)))
    connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(name, sql.Identifier(READER)))


def _comment(connection: Connection, table: Table) -> None:
    on_table = sql.SQL("COMMENT ON TABLE {} IS {}")
    connection.execute(on_table.format(table.identifier, sql.Literal(table.comment)))
    for column in table.columns:
        name = sql.Identifier(table.schema, table.name, column.name)
        connection.execute(sql.SQL("COMMENT ON COLUMN {} IS {}").format(name, sql.Literal(column.comment)))


def ensure_month(connection: Connection, table: Table, month: date, roles: bool) -> None:
    """Makes the month's empty partition, where it is missing, and attaches it: readers do not wait.

    Args:
        connection: Works as the owner.
        table: The table, prepared.
        month: The month.
        roles: Whether the roles are there to be granted rights.

    Raises:
        TaxiError: A table of the partition's name stands there and is no partition.
    """
    if _attached(connection, table, month):
        return
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '30s'")
        lock(connection, table)
        if _attached(connection, table, month):
            return
        child = table.partition_identifier(month)
        like = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)")
        connection.execute(like.format(child, table.identifier))
        attach = sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})")
        connection.execute(attach.format(table.identifier, child, sql.Literal(month)))
        if roles:
            _grant(connection, child)


def _attached(connection: Connection, table: Table, month: date) -> bool:
    row = connection.execute(
        """
        SELECT c.relispartition FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = %s
        """,
        [table.schema, table.partition(month)],
    ).fetchone()
    if row and not row[0]:
        raise _foreign(
            Table(table.schema, table.partition(month), (), "", ""),
            "a table of its own, or one that was detached",
            f"a partition of {table.schema}.{table.name}",
        )
    return bool(row)


def refresh(connection: Connection, names: Sequence[sql.Identifier], *, vacuum: bool) -> None:
    """Counts anew what the planner knows of these partitions; with `vacuum`, lets new rows use deleted ones' space.

    The files are not cut short: that would lock readers out for a moment.
    """
    statement = sql.SQL("VACUUM (ANALYZE, TRUNCATE FALSE) {}") if vacuum else sql.SQL("ANALYZE {}")
    for name in names:
        connection.execute(statement.format(name))
