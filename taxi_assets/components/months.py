"""A month between a pipeline's assets: what its cleaned files and its run say, for the stores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from taxi_assets.components.parameters import configuration
from taxi_assets.stores.month import MonthOfTrips
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable

if TYPE_CHECKING:
    from taxi_assets.components.pipeline import TaxiPipeline


def started_by(tags: Mapping[str, str]) -> str:
    """Who or what started a run, by its tags."""
    for tag, what in (
        ("taxi/started_by", "{}"),
        ("dagster/backfill", "backfill {}"),
        ("dagster/schedule_name", "schedule {}"),
        ("dagster/sensor_name", "sensor {}"),
        ("user", "{} in the UI"),
    ):
        if tag in tags:
            again = f", retry {tags['dagster/retry_number']}" if "dagster/retry_number" in tags else ""
            return what.format(tags[tag]) + again
    return "a person in the UI"


def month_of_trips(
    pipeline: "TaxiPipeline",
    context: dg.AssetExecutionContext,
    kept: TripTable,
    rejected: TripTable,
    place: tuple[str, str],
) -> MonthOfTrips:
    """The cleaned month of a run, for the schema or dataset and the table of `place`."""
    return MonthOfTrips(
        service=pipeline.trips,
        month=parse_month(context.partition_key),
        kept=kept,
        rejected=rejected,
        schema=place[0],
        table=place[1],
        run_id=context.run.run_id,
        started_by=started_by(context.run.tags),
        configuration=configuration(kept, context.run.run_config),
    )


def made_up(table: TripTable) -> bool:
    """Whether the rows come from the sample source."""
    return bool(table.note["source"]["sample"])
