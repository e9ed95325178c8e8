"""Asset checks of the stores: what stands there, counted anew, equals what was cleaned."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from taxi_assets.components.checks import WARN, check_spec, result
from taxi_assets.components.parameters import destination, run_source
from taxi_assets.errors import TaxiError
from taxi_assets.failures import as_failure
from taxi_assets.settings import settings
from taxi_assets.sources.errors import NotPublished
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.files import work_folder
from taxi_assets.stores.google import GoogleCloud
from taxi_assets.stores.lake_check import read_back
from taxi_assets.stores.lake_log import LakeLoad
from taxi_assets.stores.postgres import PostgresResource
from taxi_assets.stores.warehouse_query import count_month
from taxi_assets.trips.checks import unknown_zones
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.summary import Summary
from taxi_assets.trips.table import TripTable

if TYPE_CHECKING:
    from taxi_assets.components.pipeline import BigQueryTarget, TaxiPipeline


def agreement(
    spec: dg.AssetCheckSpec, place: str, found: tuple[int, int], cleaned: tuple[int, int]
) -> dg.AssetCheckResult:
    """Whether a store holds the rows and whole cents that were cleaned; both pairs are (rows, cents)."""
    return result(
        spec,
        found == cleaned,
        f"{found[0]:,} rows and {found[1]:,} cents in the {place}; {cleaned[0]:,} and {cleaned[1]:,} cleaned",
        rows=found[0],
        cents=found[1],
        rows_cleaned=cleaned[0],
        cents_cleaned=cleaned[1],
    )


def postgres_checks(pipeline: "TaxiPipeline") -> dg.AssetChecksDefinition:
    """The checks of a month in PostgreSQL, counted in the table anew."""
    agrees = check_spec(
        pipeline,
        "postgres_table",
        "agrees_with_clean_taxi",
        "Rows and whole cents of total_amount in PostgreSQL equal those of the cleaned month.",
        reads=["clean_taxi"],
    )
    not_empty = check_spec(pipeline, "postgres_table", "table_not_empty", "The table holds rows of this month.")

    @dg.multi_asset_check(
        name=f"{pipeline.service}_postgres_checks",
        specs=[agrees, not_empty],
        ins={"clean_taxi": dg.AssetIn(pipeline.key("clean_taxi"))},
    )
    def postgres_checks_op(
        context: dg.AssetCheckExecutionContext, clean_taxi: TripTable, postgres: PostgresResource
    ) -> Iterator[dg.AssetCheckResult]:
        target = pipeline.postgres
        summary = Summary.from_json(clean_taxi.note["summary"])
        with as_failure():
            schema = destination(target.schema_name, settings().postgres_schema, clean_taxi)
            rows, cents = postgres.count_month(schema, target.table, parse_month(context.partition_key))
        yield agreement(agrees, "table", (rows, cents), (summary.rows_kept, summary.cents_kept))
        yield result(not_empty, rows > 0, f"{rows:,} rows", rows=rows)

    return postgres_checks_op


def lake_checks(pipeline: "TaxiPipeline") -> dg.AssetChecksDefinition:
    """The checks of a month in the lake, read back with pyarrow."""

    def spec(name: str, says: str, *, blocking: bool = False) -> dg.AssetCheckSpec:
        return check_spec(pipeline, "gcs_parquet", name, says, blocking=blocking, reads=["clean_taxi"])

    says = "Rows and whole cents of total_amount in the Parquet objects equal those of the cleaned month."
    agrees = spec("agrees_with_clean_taxi", says, blocking=True)
    schema = spec("schema_is_the_registrys", "Every object has the registry's columns, types and descriptions.")
    strays = spec("no_stray_objects", "The lake holds no object of this month that the load did not write.")

    @dg.multi_asset_check(
        name=f"{pipeline.service}_lake_checks",
        specs=[agrees, schema, strays],
        ins={
            "gcs_parquet": dg.AssetIn(pipeline.key("gcs_parquet")),
            "clean_taxi": dg.AssetIn(pipeline.key("clean_taxi")),
        },
    )
    def lake_checks_op(
        gcs_parquet: LakeLoad, clean_taxi: TripTable, cloud: GoogleCloud
    ) -> Iterator[dg.AssetCheckResult]:
        summary = Summary.from_json(clean_taxi.note["summary"])
        name = f"read-{pipeline.service}-{gcs_parquet.month}"
        with as_failure(), work_folder(Path(cloud.home), name) as folder:
            found = read_back(cloud, gcs_parquet, folder)
        yield agreement(agrees, "objects", (found.rows, found.cents), (summary.rows_kept, summary.cents_kept))
        wrong = "; ".join(f"{name}: {what}" for name, what in found.wrong_schemas.items())
        yield result(schema, not wrong, wrong or f"{len(found.rows_by_object)} objects as declared")
        odd = [*(f"missing: {name}" for name in found.missing), *(f"stray: {name}" for name in found.strays)]
        yield result(strays, not odd, "; ".join(odd) or "only the objects that the load wrote", objects=odd)

    return lake_checks_op


def bigquery_checks(pipeline: "TaxiPipeline", target: "BigQueryTarget") -> dg.AssetChecksDefinition:
    """The checks of a month in BigQuery, counted in the table anew."""
    says = "Rows and whole cents of total_amount in BigQuery equal those that stand in the lake."
    agrees = check_spec(pipeline, "bigquery_table", "agrees_with_gcs_parquet", says, reads=["gcs_parquet"])
    not_empty = check_spec(pipeline, "bigquery_table", "table_not_empty", "The table holds rows of this month.")

    @dg.multi_asset_check(
        name=f"{pipeline.service}_bigquery_checks",
        specs=[agrees, not_empty],
        ins={"gcs_parquet": dg.AssetIn(pipeline.key("gcs_parquet"))},
    )
    def bigquery_checks_op(gcs_parquet: LakeLoad, cloud: GoogleCloud) -> Iterator[dg.AssetCheckResult]:
        entry = gcs_parquet.entry
        with as_failure():
            found = count_month(cloud, pipeline.service, target.dataset, target.table, entry.source_month)
        yield agreement(agrees, "table", found, (entry.rows_kept, entry.cents))
        yield result(not_empty, found[0] > 0, f"{found[0]:,} rows", rows=found[0])

    return bigquery_checks_op


def zone_checks(pipeline: "TaxiPipeline") -> dg.AssetChecksDefinition:
    """The check of a cleaned month against the zone lookup of the source that the run takes it from."""
    known = check_spec(pipeline, "clean_taxi", "zones_known", "Each zone id is in the zone lookup of the source.")

    @dg.multi_asset_check(
        name=f"{pipeline.service}_zone_checks",
        specs=[known],
        ins={"clean_taxi": dg.AssetIn(pipeline.key("clean_taxi"))},
    )
    def zone_checks_op(
        context: dg.AssetCheckExecutionContext, clean_taxi: TripTable, trip_source: TripSourceResource
    ) -> Iterator[dg.AssetCheckResult]:
        try:
            lookup = trip_source.source(run_source(pipeline.service, context.run.run_config)).fetch_lookup().path
        except TaxiError as error:
            # A month waits for nobody's lookup.
            yield result(known, isinstance(error, NotPublished), f"not checked: {error.summary}", WARN)
            return
        unknown = unknown_zones(clean_taxi, lookup)
        says = f"not in the lookup: {', '.join(map(str, unknown))}" if unknown else "all in the lookup"
        yield result(known, not unknown, says, WARN, unknown=unknown)

    return zone_checks_op
