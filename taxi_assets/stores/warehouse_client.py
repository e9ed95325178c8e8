"""A client of BigQuery with clear errors, as long as it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taxi_assets.stores.google import GoogleCloud
from taxi_assets.stores.google_errors import clear_errors
from taxi_assets.trips.cents import CENTS_SQL

if TYPE_CHECKING:
    from google.cloud import bigquery

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


@contextmanager
def connected(cloud: GoogleCloud, doing: str, where: str) -> Iterator[Warehouse]:
    """A client; errors of Google's become clear ones: see `clear_errors`."""
    with clear_errors(doing, where):
        client: Any = cloud.bigquery()
        from google.cloud.bigquery import DEFAULT_RETRY

        try:
            yield Warehouse(client, cloud, DEFAULT_RETRY.with_timeout(cloud.patience))
        finally:
            client.close()


def submitted(warehouse: Warehouse, job_id: str, submit: Callable[[], Any]) -> Any:
    """Submits a job under a name of its own, so that a request which is repeated cannot run it twice."""
    from google.api_core.exceptions import Conflict

    try:
        return submit()
    except Conflict:
        return warehouse.client.get_job(job_id, retry=warehouse.retry)
