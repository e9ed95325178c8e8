"""Verifies tables of PostgreSQL against the load log."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from psycopg import sql

from taxi_assets.stores.month import VerifiedMonth
from taxi_assets.stores.postgres.load_log import latest_loads
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.values import CENTS_SQL

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


def count_month(connection: Connection, table: TableRef, month: date) -> tuple[int, int]:
    """The row count of the month in the table and the cents of its `total_amount`; zeros where there is no table."""
    name = table.postgres
    if connection.execute("SELECT to_regclass(%s)", [name.as_string(connection)]).fetchone() == (None,):
        return 0, 0
    query = sql.SQL("SELECT count(*), ({cents})::bigint FROM {name} WHERE source_month = {month}").format(
        cents=sql.SQL(CENTS_SQL),
        name=name,
        month=sql.Literal(month),
    )
    rows, cents = connection.execute(query).fetchone() or (0, 0)
    return int(rows), int(cents)


def verify_months(
    connection: Connection, service: str | None = None, months: list[date] | None = None
) -> Iterator[VerifiedMonth]:
    """Counts every loaded month; None: of all services, in all months."""
    for entry in latest_loads(connection, store="postgres", service=service, months=months):
        schema, _, name = entry.place.partition(".")
        yield VerifiedMonth.of(
            entry, *count_month(connection, TableRef(namespace=schema, name=name), entry.source_month)
        )
