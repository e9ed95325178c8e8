"""A session with BigQuery: its client, how long requests are retried, and clear errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxi_assets.stores.google.cloud import GoogleCloud
from taxi_assets.stores.google.errors import clear_errors
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.columns import CENTS_SQL

if TYPE_CHECKING:
    from google.cloud import bigquery

JOB_SECONDS = 1800
"""How long a job may take."""


def totals(amounts: bool) -> str:
    """A query for the row count and the whole cents of what follows; without amounts, null in the place of cents."""
    return f"SELECT COUNT(*) AS trips, CAST({CENTS_SQL if amounts else 'NULL'} AS INT64) AS cents FROM"


@dataclass(frozen=True)
class BigQuerySession:
    """What each request to BigQuery needs.

    Attributes:
        client: Google's client.
        cloud: Where BigQuery is.
        retry: Google's own conditions of what is retried, for the seconds of `cloud`.
    """

    client: bigquery.Client
    cloud: GoogleCloud
    retry: Any

    def table(self, declared: TableRef) -> TableRef:
        """The table with its project; BIGQUERY_DATASET overrides the dataset."""
        return declared.moved(namespace=self.cloud.dataset, database=self.client.project)

    def begin(self, sql: str, **options: Any) -> bigquery.QueryJob:
        """Begins a job; the options go to the client's `query`.

        A failed job is not repeated, as the client would for hours: Dagster retries the step.
        """
        return self.client.query(sql, retry=self.retry, job_retry=None, **options)

    def query(self, sql: str, **options: Any) -> tuple[bigquery.QueryJob, bigquery.table.RowIterator]:
        """Runs SQL to its end; the options are those of `begin`."""
        job = self.begin(sql, **options)
        return job, job.result(retry=self.retry, job_retry=None, timeout=JOB_SECONDS)


@contextmanager
def bigquery_session(
    cloud: GoogleCloud, doing: str, where: object, intact: str = "the month as it was before"
) -> Iterator[BigQuerySession]:
    """A session; Google's errors in the block become clear ones: see `clear_errors`."""
    where = where.moved(namespace=cloud.dataset) if isinstance(where, TableRef) else where
    with clear_errors(doing, str(where), intact):
        client: Any = cloud.bigquery()
        from google.cloud.bigquery import DEFAULT_RETRY

        try:
            yield BigQuerySession(client, cloud, DEFAULT_RETRY.with_timeout(cloud.retry_seconds))
        finally:
            client.close()
