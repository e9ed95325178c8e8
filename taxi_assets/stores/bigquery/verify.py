"""What is in a table of BigQuery, compared with its load log."""

from __future__ import annotations

from datetime import date

from taxi_assets.stores.bigquery.resource import TOTALS, bigquery_session
from taxi_assets.stores.bigquery.schema import log_table, value_in_sql
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.month import VerifiedMonth
from taxi_assets.stores.table import TableRef


def count_month(cloud: GoogleCloud, declared: TableRef, month: date) -> tuple[int, int]:
    """Row count of a month in its table, and whole cents of their `total_amount`; zeros where there is no table."""
    from google.api_core.exceptions import NotFound

    with bigquery_session(cloud, f"Counting {declared} in BigQuery", declared) as session:
        table = session.table(declared).bigquery
        try:
            (row,) = session.query(f"{TOTALS} {table} WHERE source_month = {value_in_sql(month)}")[1]
        except NotFound:
            return 0, 0
    return int(row[0]), int(row[1])


def verify_months(cloud: GoogleCloud, service: str, declared: TableRef) -> list[VerifiedMonth]:
    """Every month that is in a table or in its load log, counted; [] where there is no table."""
    from google.api_core.exceptions import NotFound

    with bigquery_session(cloud, f"Counting {declared} in BigQuery", declared) as session:
        table = session.table(declared)
        by_month = TOTALS.replace("SELECT", "SELECT source_month,")
        counted = f"{by_month} {table.bigquery} GROUP BY source_month"
        logged = f"""
            SELECT source_month, rows_kept, cents FROM {log_table(table).bigquery}
            WHERE store = 'bigquery' AND place = {value_in_sql(table.in_database)}
            QUALIFY ROW_NUMBER() OVER (PARTITION BY source_month ORDER BY loaded_at DESC) = 1"""  # noqa: S608
        try:
            rows, log = ({row[0]: (row[1], row[2]) for row in session.query(sql)[1]} for sql in (counted, logged))
        except NotFound:
            return []
    return [
        VerifiedMonth("bigquery", service, month, table.in_database, log.get(month), rows.get(month, (0, 0)))
        for month in sorted({*rows, *log})
    ]
