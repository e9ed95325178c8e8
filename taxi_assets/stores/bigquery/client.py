"""A client of BigQuery with clear errors, as long as it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxi_assets.stores.google.errors import clear_errors
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.trips.values import CENTS_SQL

if TYPE_CHECKING:
    from google.cloud import bigquery

JOB_SECONDS = 1800
"""How long a job may take."""
TOTALS = f"SELECT COUNT(*) AS trips, CAST({CENTS_SQL} AS INT64) AS cents FROM"
"""Rows and whole cents of what follows."""


@dataclass(frozen=True)
class Warehouse:
    """What each request to BigQuery needs.

    Attributes:
        client: Google's client.
        cloud: Where BigQuery is.
        retry: What is tried again, and for how long: Google's own conditions.
    """

    client: bigquery.Client
    cloud: GoogleCloud
    retry: Any

    def ask(self, sql: str, **more: Any) -> tuple[bigquery.QueryJob, bigquery.table.RowIterator]:
        """Runs SQL to its end; `more` goes to the client's `query`.

        A failed job is not repeated here, as the client would for hours: Dagster tries the step again.
        """
        job = self.client.query(sql, retry=self.retry, job_retry=None, **more)
        return job, job.result(retry=self.retry, job_retry=None, timeout=JOB_SECONDS)


@contextmanager
def connected(
    cloud: GoogleCloud, doing: str, where: str, intact: str = "the month as it was before"
) -> Iterator[Warehouse]:
    """A client; errors of Google's become clear ones: see `clear_errors`."""
    with clear_errors(doing, where, intact):
        client: Any = cloud.bigquery()
        from google.cloud.bigquery import DEFAULT_RETRY

        try:
            yield Warehouse(client, cloud, DEFAULT_RETRY.with_timeout(cloud.retry_seconds))
        finally:
            client.close()
