"""What stands in a table of BigQuery, compared with its log of loads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from taxi_assets.stores.bigquery.client import TOTALS, connected
from taxi_assets.stores.bigquery.load import target_of
from taxi_assets.stores.bigquery.schema import value_in_sql
from taxi_assets.stores.google.resource import GoogleCloud


@dataclass(frozen=True)
class MonthTotals:
    """A month in a table of BigQuery.

    Attributes:
        month: The month of the file.
        rows: Rows that stand there now.
        cents: Whole cents of their `total_amount`.
        logged_rows: Rows that the newest load wrote, as its log says; None where it knows no load.
        logged_cents: The same of cents.
    """

    month: date
    rows: int
    cents: int
    logged_rows: int | None
    logged_cents: int | None

    @property
    def agrees(self) -> bool:
        """Whether the table holds what was logged."""
        return (self.rows, self.cents) == (self.logged_rows, self.logged_cents)


def count_month(cloud: GoogleCloud, service: str, dataset: str, table: str, month: date) -> tuple[int, int]:
    """Rows of a month in its table, and whole cents of their `total_amount`; zeros where there is no such table."""
    from google.api_core.exceptions import NotFound

    with connected(cloud, f"Counting {service} in BigQuery", f"{cloud.dataset or dataset}.{table}") as warehouse:
        target = target_of(cloud, service, dataset, table, warehouse.client.project)
        sql = f"{TOTALS} {target.in_sql} WHERE source_month = {value_in_sql(month)}"
        try:
            (row,) = warehouse.ask(sql)[1]
        except NotFound:
            return 0, 0
    return int(row[0]), int(row[1])


def verify_months(cloud: GoogleCloud, service: str, dataset: str, table: str) -> list[MonthTotals]:
    """Every month that stands in a table or in its log, counted; [] where there is no such table."""
    from google.api_core.exceptions import NotFound

    with connected(cloud, f"Counting {service} in BigQuery", f"{cloud.dataset or dataset}.{table}") as warehouse:
        target = target_of(cloud, service, dataset, table, warehouse.client.project)
        by_month = TOTALS.replace("SELECT", "SELECT source_month,")
        counted = f"{by_month} {target.in_sql} GROUP BY source_month"
        logged = f"""
            SELECT source_month, rows_kept, cents FROM {target.log}
            WHERE store = 'bigquery' AND place = '{target}'
            QUALIFY ROW_NUMBER() OVER (PARTITION BY source_month ORDER BY loaded_at DESC) = 1"""  # noqa: S608
        try:
            there, log = ({row[0]: (row[1], row[2]) for row in warehouse.ask(sql)[1]} for sql in (counted, logged))
        except NotFound:
            return []
    return [
        MonthTotals(month, *there.get(month, (0, 0)), *log.get(month, (None, None))) for month in sorted({*there, *log})
    ]
