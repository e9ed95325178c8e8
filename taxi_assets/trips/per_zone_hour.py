"""Trips by zone and hour of their pickup, counted in Arrow batch by batch: memory grows with the groups alone."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from taxi_assets.trips.columns import Service
from taxi_assets.trips.table import TripTable

ZONE, HOUR, TRIPS = "pu_location_id", "pickup_hour", "trips"


def trips_per_zone_hour(trips: TripTable, service: Service) -> pa.Table:
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
