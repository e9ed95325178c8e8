"""Verifies tables of PostgreSQL against the load log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from psycopg import sql

from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.load_log import latest_loads
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.values import CENTS_SQL

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


@dataclass(frozen=True)
class Verified:
    """A month in the store and in the load log.

    Attributes:
        entry: The newest load of that month, as logged.
        rows: Rows in the store now.
        cents: Whole cents of their `total_amount`.
    """

    entry: LoadEntry
    rows: int
    cents: int

    @property
    def agrees(self) -> bool:
        """Whether the store holds the rows and cents of the load log."""
        return (self.rows, self.cents) == (self.entry.rows_kept, self.entry.cents)


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


def verify_month(connection: Connection, entry: LoadEntry) -> Verified:
    """Counts the month of a logged load in its table.

    Args:
        connection: A connection that may read the table.
        entry: The newest load of the table's month, from `latest_loads(connection, store="postgres")`.
    """
    schema, _, name = entry.place.partition(".")
    table = TableRef(namespace=schema, name=name)
    return Verified(entry, *count_month(connection, table, entry.source_month))


def verify_months(
    connection: Connection, service: str | None = None, months: list[date] | None = None
) -> list[Verified]:
    """Counts every loaded month; None: of all services, in all months."""
    entries = latest_loads(connection, store="postgres", service=service, months=months)
    return [verify_month(connection, entry) for entry in entries]
