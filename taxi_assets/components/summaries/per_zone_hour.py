"""Trips per zone and hour, with Arrow compute: for counts of any size, the memory does not grow with the month."""

from typing import Any

import dagster as dg
import pyarrow as pa

from taxi_assets.components import metadata
from taxi_assets.components.assets import RETRIES
from taxi_assets.components.parameters import refuse_trial
from taxi_assets.components.partitions import months_since
from taxi_assets.components.summaries.columns import PER_ZONE_HOUR
from taxi_assets.components.summaries.following import follows
from taxi_assets.components.summaries.plots import busiest_zones
from taxi_assets.components.summaries.service import GROUP, Place, ServiceSummaries
from taxi_assets.failures import as_failure
from taxi_assets.stores.warehouse_io import table_metadata
from taxi_assets.trips.columns import SOURCE_MONTH
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.per_zone_hour import trips_per_zone_hour as count_zone_hours
from taxi_assets.trips.scalars import day
from taxi_assets.trips.table import TripTable


def trips_per_zone_hour(service: ServiceSummaries, place: Place, owners: list[str]) -> dg.AssetsDefinition:
    """The asset."""
    description = f"{service.trips.title}: trips by zone and hour of pickup, month of the file by month."

    @dg.asset(
        key=service.key("trips_per_zone_hour"),
        description=description,
        ins={"clean_taxi": dg.AssetIn(service.key("clean_taxi"))},
        deps=[service.key("bigquery_table")],
        partitions_def=months_since(service.first_month),
        io_manager_key="arrow_tables",
        metadata=table_metadata(place.holding(PER_ZONE_HOUR, description)),
        automation_condition=follows(service),
        retry_policy=RETRIES,
        pool="bigquery",
        group_name=GROUP,
        owners=owners,
        kinds={"bigquery", "arrow"},
        code_version="1",
    )
    def count(context: dg.AssetExecutionContext, clean_taxi: TripTable) -> dg.Output[Any]:
        with as_failure():
            refuse_trial(clean_taxi, "the summaries")
        counted = count_zone_hours(clean_taxi, service.trips)
        month = pa.repeat(day(parse_month(context.partition_key)), counted.num_rows)
        rows = counted.append_column(SOURCE_MONTH.name, month)
        first = rows.slice(0, metadata.PREVIEW_ROWS).to_pylist()
        shown = {"plot": busiest_zones(counted), "preview": metadata.preview_of(first, rows.column_names)}
        return dg.Output(rows, metadata=shown)

    return count
