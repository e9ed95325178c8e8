"""The months that a table of PostgreSQL holds, by the load log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

from taxi_assets.stores.guard import HeldMonth
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.schema import partition
from taxi_assets.stores.postgres.verify import exists
from taxi_assets.stores.table import Table, TableRef

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

_HELD = """
    SELECT source_month, configuration ? 'made_up', configuration ? 'limit' FROM (
        SELECT DISTINCT ON (source_month) source_month, configuration FROM taxi_assets.load_log
        WHERE store = %s AND place = %s ORDER BY source_month, id DESC
    ) AS newest
"""


def held_months(connection: Connection, entry: LoadEntry, table: Table) -> list[HeldMonth]:
    """The months of the load's table that have rows there.

    Args:
        connection: A connection, in the transaction of the load.
        entry: The load.
        table: Its table.
    """
    rows = connection.execute(_HELD, [entry.store, entry.place]).fetchall()
    held = [HeldMonth(*row) for row in rows]
    return [month for month in held if _has_rows(connection, partition(table, month.month))]


def _has_rows(connection: Connection, table: TableRef) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table.postgres)
    return exists(connection, table) and connection.execute(query).fetchone() == (True,)
