"""What the stores themselves say of the months that a ledger names, by quick looks: counts, manifests, listings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import TYPE_CHECKING

from taxi_assets.pipeline import PipelineSpec
from taxi_assets.settings import settings
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres import records as postgres
from taxi_assets.stores.record import StoreRecord

if TYPE_CHECKING:
    from taxi_assets.stores.postgres.connection import Connection

Records = dict[date, StoreRecord]


def postgres_records(connection: Connection, entries: Sequence[LoadEntry]) -> Records:
    """The months of PostgreSQL: the ledger is its record."""
    return postgres.read_records(connection, [entry for entry in entries if entry.store == "postgres"])


def cloud_records(pipeline: PipelineSpec, store: str, months: Collection[date]) -> Records:
    """The months of the lake or of BigQuery, at the places of today's settings.

    Raises:
        TransientError: The store was lost.
        TaxiError: It refuses.
    """
    from taxi_assets.stores.google.cloud import GoogleCloud

    if not months:
        return {}
    cloud = GoogleCloud.from_settings(settings())
    if store == "lake":
        from taxi_assets.stores.lake import records as lake

        found = lake.read_records(cloud, pipeline.name, months)
        # In another shape, the month stands elsewhere.
        return {
            month: record for month, record in found.items() if record.entry.place == pipeline.location(store, month)
        }
    from taxi_assets.stores.bigquery import records as bigquery

    assert pipeline.bigquery  # noqa: S101
    return bigquery.read_records(cloud, pipeline.bigquery, sorted(months))
