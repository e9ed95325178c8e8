"""What PostgreSQL says of the months that the ledger, its record, names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.schema import REJECTED
from taxi_assets.stores.postgres.verify import NONE, count_months, table_of
from taxi_assets.stores.record import StoreRecord

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection


def read_records(connection: Connection, entries: Sequence[LoadEntry]) -> dict[date, StoreRecord]:
    """The months of loads into one table, the newest of each, and whether the table holds their rows and cents."""
    months = [entry.source_month for entry in entries]
    records = {}
    for place in {entry.place for entry in entries}:
        kept = count_months(connection, table_of(place), months)
        rejected = count_months(connection, table_of(place).with_suffix(REJECTED), months)
        for entry in (entry for entry in entries if entry.place == place):
            month = entry.source_month
            pairs = [
                ("", kept.get(month, NONE), (entry.rows_kept, entry.cents)),
                (REJECTED, rejected.get(month, NONE), (entry.rows_rejected, entry.cents_rejected)),
            ]
            wrong = [
                f"{place}{suffix} holds {found[0]:,} of {logged[0]:,} rows"
                if found[0] != logged[0]
                else f"{place}{suffix} holds other amounts"
                for suffix, found, logged in pairs
                if found != logged
            ]
            records[month] = StoreRecord(entry, "; ".join(wrong))
    return records
