"""What BigQuery says of months, by a quick look: its load log, and how many rows its tables hold.

It imports no client of Google: see `stores/google/rest.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from taxi_assets.stores.bigquery.rows import query_rows
from taxi_assets.stores.bigquery.schema import REJECTED
from taxi_assets.stores.bigquery.verify import keeps_rejected, log_query, months_where, newest_loads
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.rest import bigquery_api
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.record import StoreRecord
from taxi_assets.stores.table import TableRef


def read_records(cloud: GoogleCloud, declared: TableRef, months: Sequence[date]) -> dict[date, StoreRecord]:
    """The months that the load log names, and whether the tables hold as many rows.

    It counts rows alone, in the partitions of these months.

    Raises:
        TransientError: The service was lost.
        TaxiError: It refuses.
    """
    place = str(declared.moved(namespace=cloud.dataset))
    with bigquery_api(cloud, f"Looking at {declared} in BigQuery", place) as api, ThreadPoolExecutor(3) as pool:
        table = declared.moved(namespace=cloud.dataset, database=api.project)
        queries = [log_query(table, months), *(_count(each, months) for each in (table, table.with_suffix(REJECTED)))]
        log, *counts = pool.map(lambda query: query_rows(api, query), queries)
    kept, rejected = (
        None if rows is None else {row["source_month"]: int(row["trips"]) for row in rows} for rows in counts
    )
    loads = newest_loads(log or [])
    return {month: StoreRecord(entry, _lost(entry, table, kept, rejected)) for month, entry in loads.items()}


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
