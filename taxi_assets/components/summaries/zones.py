"""The table of taxi zones: fetched from the source, and again when its file changes."""

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
from pyarrow import csv

from taxi_assets.components import metadata
from taxi_assets.components.summaries.columns import ZONES
from taxi_assets.components.summaries.of_pipeline import ZONES_KEY
from taxi_assets.components.taxi_pipeline.assets import RETRIES
from taxi_assets.components.taxi_pipeline.checks import ERROR
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.pipeline import State
from taxi_assets.settings import settings
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.bigquery.metadata import INTACT, table_metadata
from taxi_assets.stores.bigquery.resource import bigquery_session
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.table import Table, TableRef

TLC_ZONES = 265
"""How many zones the TLC has."""


def read_zones(path: Path) -> pa.Table:
    """Reads the zone lookup, under the names and types that the platform has for it.

    Raises:
        TaxiError: It is no such table.
    """
    names = [column.sources[0] for column in ZONES]
    types = {column.sources[0]: column.type.arrow for column in ZONES}
    try:
        rows = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types, include_columns=names))
    except (pa.ArrowInvalid, KeyError) as error:
        raise TaxiError(
            "The zone lookup is no table of taxi zones.",
            expected=f"CSV with the columns {', '.join(names)}, the first with numbers up to 32767",
            found=str(error),
            where=str(path),
            intact=INTACT,
            next_step="look at that file; name another source in --source or TAXI_SOURCE_URL if it is not the TLC's",
        ) from error
    return rows.rename_columns([column.name for column in ZONES])


def taxi_zones(table: TableRef) -> dg.AssetsDefinition:
    """The asset `taxi_zones`."""
    description = "The TLC's taxi zones: number, borough, name. From `misc/taxi_zone_lookup.csv` of the source."

    @dg.asset(
        key=ZONES_KEY,
        description=description,
        io_manager_key="arrow_tables",
        metadata=table_metadata(Table(table, ZONES, description)),
        retry_policy=RETRIES,
        pool="bigquery",
        kinds={"bigquery", "arrow"},
    )
    def fetch(trip_source: TripSourceResource) -> dg.Output[Any]:
        with dagster_failures():
            file = trip_source.source().fetch_lookup()
            rows = read_zones(file.path)
        boroughs = {row["values"] or "": row["counts"] for row in rows["borough"].value_counts().to_pylist()}
        first = rows.slice(0, metadata.PREVIEW_ROWS).to_pylist()
        shown: dict[str, Any] = {
            "url": dg.MetadataValue.url(file.url),
            "sha256": file.sha256,
            "synthetic": file.synthetic,
            "plot": metadata.bars("Zones by borough", boroughs, width=80),
            "preview": metadata.preview_of(first, rows.column_names),
        }
        return dg.Output(rows, metadata=shown)

    return fetch


def zone_table_checks(table: TableRef) -> dg.AssetChecksDefinition:
    """The checks of the table: blocking, as summaries join with it."""
    all_there = dg.AssetCheckSpec(
        "every_zone", asset=ZONES_KEY, blocking=True, description=f"The table has the TLC's {TLC_ZONES} zones."
    )
    unique = dg.AssetCheckSpec(
        "ids_unique",
        asset=ZONES_KEY,
        blocking=True,
        description="No two zones have the same number, and none lacks it.",
    )

    @dg.multi_asset_check(name="taxi_zones_checks", specs=[all_there, unique])
    def check(cloud: GoogleCloudResource) -> Any:
        doing = "Counting taxi_zones in BigQuery"
        with dagster_failures(), bigquery_session(cloud, doing, table, INTACT) as session:
            counts = "COUNT(*) AS zones, COUNT(DISTINCT location_id) AS ids"
            (row,) = session.query(f"SELECT {counts} FROM {session.table(table).bigquery}")[1]  # noqa: S608
        for spec, passed in ((all_there, row.zones == TLC_ZONES), (unique, row.zones == row.ids)):
            yield dg.AssetCheckResult(
                passed=passed,
                check_name=spec.name,
                asset_key=ZONES_KEY,
                severity=ERROR,
                description=f"{row.zones} zones with {row.ids} numbers",
                metadata={"zones": row.zones, "ids": row.ids},
            )

    return check


def zone_sensor(state: State) -> dg.SensorDefinition:
    """The sensor that loads the table when the source's file is not the one that was loaded."""

    @dg.sensor(
        name="taxi_zones_publication",
        asset_selection=dg.AssetSelection.assets(ZONES_KEY),
        minimum_interval_seconds=settings().taxi_publication_seconds,
        default_status=dg.DefaultSensorStatus[state.name],
        description="Loads the taxi zones when the source's file is another one than was loaded.",
    )
    def watch(context: dg.SensorEvaluationContext, trip_source: TripSourceResource) -> Any:
        try:
            file = trip_source.source().fetch_lookup()
        except TaxiError as error:
            return dg.SkipReason(error.summary)
        loaded = context.instance.get_latest_materialization_event(ZONES_KEY)
        event = loaded.asset_materialization if loaded else None
        if event and event.metadata["sha256"].value == file.sha256:
            return dg.SkipReason(f"The file of {event.metadata['url'].value} is loaded already.")
        # A version that failed is asked for once; the same version, published again after another one, once more.
        since = f"{loaded.timestamp:.3f}" if loaded else "never"
        return dg.RunRequest(run_key=f"{file.sha256} after {since}")

    return watch
