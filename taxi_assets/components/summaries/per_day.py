"""Trips, passengers and revenue per day, with pandas: small, and the tool that most people know."""

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import dagster as dg

from taxi_assets.components import metadata
from taxi_assets.components.summaries.columns import PER_DAY
from taxi_assets.components.summaries.of_pipeline import PipelineSummaries
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.table import Table, TableRef
from taxi_assets.trips.columns import Service
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable

if TYPE_CHECKING:
    import pandas as pd


def count_days(trips: TripTable, service: Service, month: date) -> "pd.DataFrame":
    """Adds up a month by the day of the pickup, batch by batch.

    Returns:
        `day` (datetime64, at midnight; NaT: pickup not known), `trips`, `passengers` (whole numbers), `revenue` (US
        dollars), `source_month`; a row a day that occurs, in order. Stray pickups have their own days.
    """
    import numpy as np
    import pandas as pd

    def one(rows: "pd.DataFrame") -> "pd.DataFrame":
        trips_of_batch = pd.DataFrame(
            {
                "day": rows[service.pickup].dt.normalize(),
                "trips": 1,
                "passengers": rows["passenger_count"].fillna(0).astype("int64"),
                "cents": np.floor(rows["total_amount"].fillna(0) * 100 + 0.5).astype("int64"),
            }
        )
        return trips_of_batch.groupby("day", dropna=False).sum()

    columns = [service.pickup, "passenger_count", "total_amount"]
    batches = [one(batch.to_pandas()) for batch in trips.batches(columns=columns)]
    days = pd.concat(batches).groupby(level=0, dropna=False).sum().reset_index()
    days["revenue"] = days.pop("cents") / 100
    days["source_month"] = month
    return days


def trips_per_day(summaries: PipelineSummaries, table: TableRef) -> dg.AssetsDefinition:
    """The asset; `BigQueryPandasIOManager` writes its data frame."""
    clean = summaries.key("clean_taxi").path
    sources = {
        "day": summaries.trips.pickup,
        "passengers": "passenger_count",
        "revenue": "total_amount",
        "source_month": "source_month",
    }
    lineage = metadata.column_lineage({column: [(clean, name)] for column, name in sources.items()})
    description = (
        f"{summaries.trips.title}: trips, passengers and revenue by day of pickup, month of the file by month."
    )

    @summaries.asset(
        "trips_per_day",
        Table(table, PER_DAY, description),
        lineage,
        "pandas",
        deps=[summaries.key("clean_taxi"), summaries.key("bigquery_table")],
        io_manager_key="data_frames",
    )
    def count(context: dg.AssetExecutionContext, cloud: GoogleCloudResource) -> Iterator[dg.Output[Any]]:
        month = parse_month(context.partition_key)
        with dagster_failures():
            held = summaries.held_in_bigquery(cloud, context)
            if held is None:
                return
            trips = summaries.rows_in_bigquery(held, context)
        days = count_days(trips, summaries.trips, month)
        inside = days[days["day"].dt.to_period("M") == f"{month:%Y-%m}"]
        first: list[dict[str, Any]] = days.head(metadata.PREVIEW_ROWS).to_dict("records")  # type: ignore[assignment]
        bars = {str(day.day): trips for day, trips in zip(inside["day"], inside["trips"], strict=True)}
        yield dg.Output(
            days,
            metadata={
                "plot": metadata.bars(f"Trips by day of {context.partition_key}", bars),
                "preview": metadata.preview_of(first, list(days.columns)),
                metadata.LINEAGE: lineage,
                "days_outside_the_month": len(days) - len(inside),
            },
        )

    return count
