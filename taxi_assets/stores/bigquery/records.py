"""What BigQuery says of months, by a quick look: its load log, and how many rows its tables hold.

It imports no client of Google: see `stores/google/rest.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from taxi_assets.stores.bigquery.rows import Row, query_rows
from taxi_assets.stores.bigquery.schema import REJECTED
from taxi_assets.stores.bigquery.verify import keeps_rejected, log_query, months_where, newest_loads
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.rest import JsonApi, bigquery_api
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.record import StoreRecord
from taxi_assets.stores.table import TableRef

_KEPT, _REJECTED = "kept_trips", "rejected_trips"
_Found = tuple[list[Row], dict[date, int] | None, dict[date, int] | None]
"""The rows of the load log, and how many rows each month has in the table and in that of the rejected rows.

None: there is no such table.
"""


def read_records(cloud: GoogleCloud, declared: TableRef, months: Sequence[date]) -> dict[date, StoreRecord]:
    """The months that the load log names, and whether the tables hold as many rows.

    It counts rows alone, in the partitions of these months.

    Raises:
        TransientError: The service was lost.
        TaxiError: It refuses.
    """
    place = str(declared.moved(namespace=cloud.dataset))
    with bigquery_api(cloud, f"Looking at {declared} in BigQuery", place) as api:
        table = declared.moved(namespace=cloud.dataset, database=api.project)
        log, kept, rejected = _by_one_query(api, table, months) or _by_one_each(api, table, months)
    loads = newest_loads(log)
    return {month: StoreRecord(entry, _lost(entry, table, kept, rejected)) for month, entry in loads.items()}


def _by_one_query(api: JsonApi, table: TableRef, months: Sequence[date]) -> _Found | None:
    """The log's rows with their counts; None where one of the three tables is missing."""
    query = (
        f"SELECT log.*, kept.trips AS {_KEPT}, rejected.trips AS {_REJECTED} FROM ({log_query(table, months)}) AS log"  # noqa: S608
    )
    for name, counted in (("kept", table), ("rejected", table.with_suffix(REJECTED))):
        query += f" LEFT JOIN ({_count(counted, months)}) AS {name} ON {name}.source_month = log.source_month"
    rows = query_rows(api, query)
    if rows is None:
        return None
    kept, rejected = ({row["source_month"]: int(row[name] or 0) for row in rows} for name in (_KEPT, _REJECTED))
    return rows, kept, rejected


def _by_one_each(api: JsonApi, table: TableRef, months: Sequence[date]) -> _Found:
    queries = [log_query(table, months), *(_count(each, months) for each in (table, table.with_suffix(REJECTED)))]
    log, *counts = (query_rows(api, query) for query in queries)
    kept, rejected = (
        None if rows is None else {row["source_month"]: int(row["trips"]) for row in rows} for rows in counts
    )
    return log or [], kept, rejected


def _count(table: TableRef, months: Sequence[date]) -> str:
    counted = "SELECT source_month, COUNT(*) AS trips"
    return f"{counted} FROM {table.bigquery} {months_where(months)} GROUP BY source_month"


def _lost(entry: LoadEntry, table: TableRef, kept: dict[date, int] | None, rejected: dict[date, int] | None) -> str:
    pairs = [(table, kept, entry.rows_kept)]
    if keeps_rejected(entry):
        pairs.append((table.with_suffix(REJECTED), rejected, entry.rows_rejected))
    wrong = []
    for place, counts, rows in pairs:
        found = (counts or {}).get(entry.source_month, 0)
        if counts is None:
            wrong.append(f"the table {place.in_database} is gone")
        elif found != rows:
            wrong.append(f"{place.in_database} holds {found:,} of {rows:,} rows")
    return "; ".join(wrong)
