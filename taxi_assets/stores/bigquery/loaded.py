"""Which load of a month BigQuery holds, by its own load log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from taxi_assets.stores.bigquery.resource import BigQuerySession, bigquery_session
from taxi_assets.stores.bigquery.schema import log_table, value_in_sql
from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.table import TripTable


@dataclass(frozen=True)
class HeldLoad:
    """The newest load of a month.

    Attributes:
        sha256: Checksum of its file.
        code_version: The version of columns and rules.
        rows: Rows written.
        cents: Whole cents of their `total_amount`.
    """

    sha256: str | None
    code_version: str | None
    rows: int
    cents: int

    def is_of(self, table: TripTable) -> bool:
        """Whether it loaded these rows."""
        source, summary = table.metadata.get("source") or {}, table.summary
        return (self.sha256, self.code_version, self.rows, self.cents) == (
            source.get("sha256"),
            table.metadata.get("cleaning"),
            summary.rows_kept,
            summary.cents_kept,
        )


def held_load(cloud: GoogleCloud, declared: TableRef, month: date) -> HeldLoad | None:
    """The newest load of a month into its table; None: it was never loaded."""
    condition = f"source_month = {value_in_sql(month)}"
    with bigquery_session(cloud, f"Reading the load log of {declared} in BigQuery", declared) as session:
        columns = "sha256, code_version, rows_kept, cents"
        rows = _log_rows(session, declared, f"{condition} ORDER BY loaded_at DESC LIMIT 1", columns)
    return HeldLoad(*rows[0]) if rows else None


def real_months(cloud: GoogleCloud, declared: TableRef) -> list[date]:
    """The months of a table whose newest load is of a real file, oldest first."""
    newest = "TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY source_month ORDER BY loaded_at DESC) = 1"
    with bigquery_session(cloud, f"Reading the load log of {declared} in BigQuery", declared) as session:
        rows = _log_rows(session, declared, newest, "source_month, configuration")
    return sorted(month for month, configuration in rows if '"made_up"' not in (configuration or ""))


def _log_rows(session: BigQuerySession, declared: TableRef, condition: str, columns: str) -> list[tuple[Any, ...]]:
    from google.api_core.exceptions import NotFound

    table = session.table(declared)
    log, place = log_table(table), value_in_sql(table.in_database)
    query = f"SELECT {columns} FROM {log.bigquery} WHERE store = 'bigquery' AND place = {place} AND {condition}"  # noqa: S608
    try:
        session.client.get_table(str(log), retry=session.retry)
        return [tuple(row.values()) for row in session.query(query)[1]]
    except NotFound:
        return []
