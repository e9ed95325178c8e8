"""Questions to BigQuery: a person's query, and what stands in a table compared with its log of loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from taxi_assets.errors import TaxiError
from taxi_assets.stores.google import GoogleCloud
from taxi_assets.stores.warehouse import target_of
from taxi_assets.stores.warehouse_client import TOTALS, connected
from taxi_assets.stores.warehouse_tables import value_in_sql


@dataclass(frozen=True)
class Answer:
    """The answer to a query.

    Attributes:
        columns: The names of its columns.
        rows: Its rows, fetched page by page as they are taken.
        bytes: Bytes that BigQuery read for it, where it says so.
    """

    columns: list[str]
    rows: Iterator[tuple[Any, ...]]
    bytes: int | None


@contextmanager
def query(cloud: GoogleCloud, sql: str, max_bytes_billed: int | None = None) -> Iterator[Answer]:
    """Runs a query.

    Args:
        cloud: Where BigQuery is.
        sql: The query, in GoogleSQL; tables without a dataset are looked for in the one that BIGQUERY_DATASET names.
        max_bytes_billed: BigQuery refuses a query that would be billed for more.

    Raises:
        PassingError: The service was lost.
        TaxiError: The query is wrong, is not permitted, or would be billed for more bytes than that.
    """
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud.bigquery import QueryJobConfig

    with connected(cloud, "The query", str(cloud), intact="every table") as warehouse:
        config = QueryJobConfig(maximum_bytes_billed=max_bytes_billed)
        if cloud.dataset:
            config.default_dataset = f"{warehouse.client.project}.{cloud.dataset}"
        try:
            job, found = warehouse.ask(sql, job_config=config)
        except GoogleAPICallError as error:
            if any(item.get("reason") == "bytesBilledLimitExceeded" for item in error.errors if isinstance(item, dict)):
                raise _too_much(max_bytes_billed, str(error)) from error
            raise
        rows = (tuple(row.values()) for row in found)
        yield Answer([field.name for field in found.schema], rows, job.total_bytes_billed or None)


def _too_much(limit: int | None, message: str) -> TaxiError:
    return TaxiError(
        "The query would be billed for too many bytes.",
        expected=f"at most {limit} bytes, the limit that BIGQUERY_MAX_BYTES_BILLED sets",
        found=" ".join(message.split())[:300],
        intact="the bill: the query did not run",
        next_step="ask for fewer columns, or for some months only (WHERE source_month = …), or raise the limit",
    )


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
