"""Counts tables of PostgreSQL, kept and rejected rows, and compares them with the ledger, their record."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING

from psycopg import sql

from taxi_assets.stores.month import LoadEntry, VerifiedMonth
from taxi_assets.stores.postgres.load_log import latest_loads
from taxi_assets.stores.postgres.schema import REJECTED
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.columns import AMOUNT, CENTS_SQL

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

Counts = dict[date, tuple[int, int]]
"""Month → row count and cents."""

NONE = (0, 0)


def table_of(place: str) -> TableRef:
    """The table of a place in the ledger: `ny_taxi.yellow_cab_data`."""
    schema, _, name = place.rpartition(".")
    return TableRef(namespace=schema, name=name)


def totals(amounts: bool) -> sql.SQL:
    """What is counted of rows: their number, and the cents of their `total_amount`; without amounts, 0."""
    return sql.SQL(f"count(*), ({CENTS_SQL})::bigint" if amounts else "count(*), 0::bigint")


def exists(connection: Connection, table: TableRef) -> bool:
    """Whether there is such a table."""
    return _totals_of(connection, table) is not None


def _totals_of(connection: Connection, table: TableRef) -> sql.SQL | None:
    """What is counted of the rows of a table; None: there is no such table."""
    query = """
        SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = found AND attname = %s AND NOT attisdropped)
        FROM to_regclass(%s) AS found WHERE found IS NOT NULL
    """
    row = connection.execute(query, [AMOUNT, table.postgres.as_string(connection)]).fetchone()
    return totals(row[0]) if row else None


def count_months(connection: Connection, table: TableRef, months: Sequence[date] | None = None) -> Counts:
    """The row count and the cents of `total_amount` of each month that a table has rows of; None: of all months."""
    wanted = _totals_of(connection, table)
    if wanted is None:
        return {}
    if months is not None:
        counts = {month: _count(connection, table, month, wanted) for month in months}
        return {month: counted for month, counted in counts.items() if counted[0]}
    query = sql.SQL("SELECT source_month, {totals} FROM {name} GROUP BY source_month")
    rows = connection.execute(query.format(totals=wanted, name=table.postgres))
    return {month: (int(count), int(cents)) for month, count, cents in rows}


def count_month(connection: Connection, table: TableRef, month: date) -> tuple[int, int]:
    """The row count of the month in the table and the cents of its `total_amount`; zeros where there is no table."""
    wanted = _totals_of(connection, table)
    return NONE if wanted is None else _count(connection, table, month, wanted)


def _count(connection: Connection, table: TableRef, month: date, wanted: sql.SQL) -> tuple[int, int]:
    # Without GROUP BY, PostgreSQL counts a month in parallel, also before it is analyzed.
    query = sql.SQL("SELECT {totals} FROM {name} WHERE source_month = {month}")
    row = connection.execute(query.format(totals=wanted, name=table.postgres, month=month)).fetchone()
    assert row  # noqa: S101
    return int(row[0]), int(row[1])


def verify_months(
    connection: Connection,
    pipeline: str | None = None,
    months: Sequence[date] | None = None,
    tables: Collection[tuple[str, TableRef]] = (),
) -> Iterator[VerifiedMonth]:
    """Counts every month that the ledger or a table has.

    Args:
        connection: A connection of the reader.
        pipeline: The pipeline; None: all.
        months: The months; None: all.
        tables: Pipelines and tables to look at, besides those that the ledger names.
    """
    # Of all pipelines: a month is that of the pipeline which loaded it last, perhaps under an earlier name.
    loads: dict[str, list[LoadEntry]] = {}
    for entry in latest_loads(connection, store="postgres", months=months):
        loads.setdefault(entry.place, []).append(entry)
    owners = {
        entry.place: entry.pipeline
        for entries in loads.values()
        for entry in entries
        if pipeline in (None, entry.pipeline)
    }
    owners |= {table.in_database: name for name, table in tables}
    for place, owner in owners.items():
        table, entries = table_of(place), loads.get(place, [])
        kept = count_months(connection, table, months)
        rejected = count_months(connection, table.with_suffix(REJECTED), months)
        for entry in entries:
            if pipeline in (None, entry.pipeline):
                month = entry.source_month
                yield VerifiedMonth.of(entry, kept.get(month, NONE), rejected.get(month, NONE))
        for month in sorted((kept.keys() | rejected.keys()) - {entry.source_month for entry in entries}):
            counts = kept.get(month, NONE), rejected.get(month, NONE)
            yield VerifiedMonth("postgres", owner, month, place, None, counts[0], None, counts[1])
