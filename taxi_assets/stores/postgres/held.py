"""The months that a table of PostgreSQL holds, by the load log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taxi_assets.stores.guard import HeldMonth
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.schema import partition
from taxi_assets.stores.table import Table

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Cursor

_HELD = """
    SELECT source_month, configuration ? 'made_up', configuration ? 'limit' FROM (
        SELECT DISTINCT ON (source_month) source_month, configuration FROM taxi_assets.load_log
        WHERE store = $1 AND service = $2 AND place = $3 ORDER BY source_month, id DESC
    ) AS newest
"""


def held_months(cursor: Cursor, entry: LoadEntry, table: Table) -> list[HeldMonth]:
    """The months of the load's table that have rows there.

    Args:
        cursor: A cursor whose parameters are written `$1`, in the transaction of the load.
        entry: The load.
        table: Its table.
    """
    cursor.execute(_HELD, (entry.store, entry.service, entry.place))
    held = [HeldMonth(*row) for row in cursor.fetchall()]
    return [month for month in held if _has_rows(cursor, partition(table, month.month).postgres.as_string(None))]


def _has_rows(cursor: Cursor, name: str) -> bool:
    """Whether a table exists, with rows in it; the name is quoted."""
    cursor.execute("SELECT to_regclass($1) IS NOT NULL", (name,))
    if cursor.fetchone() != (True,):
        return False
    cursor.execute(f"SELECT EXISTS (SELECT FROM {name})")  # noqa: S608
    return cursor.fetchone() == (True,)
