"""Trips per zone and hour, with Arrow compute: for counts of any size, the memory does not grow with the month."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from taxi_assets.components import metadata
from taxi_assets.components.summaries.columns import PER_ZONE_HOUR
from taxi_assets.components.summaries.of_pipeline import PipelineSummaries
from taxi_assets.components.summaries.plots import busiest_zones
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.table import Table, TableRef
from taxi_assets.trips.columns import SOURCE_MONTH, Service
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable
from taxi_assets.trips.values import day


def trips_per_zone_hour(summaries: PipelineSummaries, table: TableRef) -> dg.AssetsDefinition:
    """The asset."""
    sources = {ZONE: ZONE, HOUR: summaries.trips.pickup, SOURCE_MONTH.name: SOURCE_MONTH.name}
    clean = summaries.key("clean_taxi").path
    lineage = metadata.column_lineage({column: [(clean, name)] for column, name in sources.items()})
    description = f"{summaries.trips.title}: trips by zone and hour of pickup, month of the file by month."

    @summaries.asset(
        "trips_per_zone_hour",
        Table(table, PER_ZONE_HOUR, description),
        lineage,
        "arrow",
        deps=[summaries.key("clean_taxi"), summaries.key("bigquery_table")],
        io_manager_key="arrow_tables",
    )
    def count(context: dg.AssetExecutionContext, cloud: GoogleCloudResource) -> Iterator[dg.Output[Any]]:
        with dagster_failures():
            held = summaries.held_in_bigquery(cloud, context)
            if held is None:
                return
            trips = summaries.rows_in_bigquery(held, context)
        counted = count_zone_hours(trips, summaries.trips)
        month = pa.repeat(day(parse_month(context.partition_key)), counted.num_rows)
        rows = counted.append_column(SOURCE_MONTH.name, month)
        first = rows.slice(0, metadata.PREVIEW_ROWS).to_pylist()
        preview = metadata.preview_of(first, rows.column_names)
        shown: dict[str, Any] = {"plot": busiest_zones(counted), "preview": preview, metadata.LINEAGE: lineage}
        yield dg.Output(rows, metadata=shown)

    return count


ZONE, HOUR, TRIPS = "pu_location_id", "pickup_hour", "trips"


def count_zone_hours(trips: TripTable, service: Service) -> pa.Table:
    """Counts the trips of a month.

    Args:
        trips: The cleaned month.
        service: The service and its columns.

    Returns:
        `pu_location_id` (int16), `pickup_hour` (timestamp, the hour's beginning, New York time), `trips` (int64): a row
        for each pair that occurs, in order, the missing zone or time last.
    """
    zone = service.column(ZONE).type.arrow
    counted = pa.table({ZONE: pa.nulls(0, zone), HOUR: pa.nulls(0, pa.timestamp("us")), TRIPS: pa.nulls(0, pa.int64())})
    for batch in trips.batches(columns=[ZONE, service.pickup]):
        hours = pc.floor_temporal(batch[service.pickup], unit="hour")
        one = pa.table({ZONE: batch[ZONE], HOUR: hours}).group_by([ZONE, HOUR], use_threads=False).aggregate(
            [([], "count_all")]
        )  # fmt: skip
        counted = _added(counted, one.rename_columns([ZONE, HOUR, TRIPS]))
    return counted.sort_by([(ZONE, "ascending"), (HOUR, "ascending")])


def _added(counted: pa.Table, more: pa.Table) -> pa.Table:
    together = pa.concat_tables([counted, more]).group_by([ZONE, HOUR], use_threads=False).aggregate([(TRIPS, "sum")])
    return together.rename_columns([ZONE, HOUR, TRIPS])
