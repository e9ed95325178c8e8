"""The assets that stand for a month in a store: PostgreSQL, the lake, BigQuery. Their IO managers do the loading."""

from typing import TYPE_CHECKING

import dagster as dg

from taxi_assets.components import metadata
from taxi_assets.components.assets import RETRIES
from taxi_assets.components.months import made_up, month_of_trips, started_by
from taxi_assets.components.parameters import destination, refuse_trial
from taxi_assets.failures import as_failure
from taxi_assets.pipelines.places import place
from taxi_assets.settings import settings
from taxi_assets.stores.google_io import MonthForLake, MonthForWarehouse
from taxi_assets.stores.lake_log import LakeLoad
from taxi_assets.stores.month import MonthOfTrips
from taxi_assets.trips.table import TripTable

if TYPE_CHECKING:
    from taxi_assets.components.pipeline import BigQueryTarget, LakeTarget, TaxiPipeline


def postgres_table(pipeline: "TaxiPipeline") -> dg.AssetsDefinition:
    """The month in PostgreSQL, for analysts; the IO manager loads it."""
    target = pipeline.postgres

    @dg.asset(
        key=pipeline.key("postgres_table"),
        description=f"{pipeline.trips.title} in PostgreSQL: the table {target.schema_name}.{target.table}, one "
        f"partition a month of the TLC's files; rejected rows in {target.table}_rejected beside it.",
        ins={
            "clean_taxi": dg.AssetIn(pipeline.key("clean_taxi")),
            "rejected_taxi": dg.AssetIn(pipeline.key("rejected_taxi")),
        },
        partitions_def=pipeline.partitions,
        io_manager_key="postgres_tables",
        pool="postgres",
        retry_policy=RETRIES,
        metadata={
            "dagster/column_schema": metadata.column_schema(pipeline.trips.columns),
            "dagster/table_name": f"{target.schema_name}.{target.table}",
        },
        group_name=pipeline.service,
        owners=pipeline.owners,
        kinds={"postgres"},
        code_version=pipeline.version,
    )
    def load(
        context: dg.AssetExecutionContext, clean_taxi: TripTable, rejected_taxi: TripTable
    ) -> dg.Output[MonthOfTrips]:
        place = destination(target.schema_name, settings().postgres_schema, clean_taxi), target.table
        return dg.Output(
            month_of_trips(pipeline, context, clean_taxi, rejected_taxi, place),
            metadata={"preview": metadata.preview(clean_taxi), "made_up": made_up(clean_taxi)},
        )

    return load


def gcs_parquet(pipeline: "TaxiPipeline", target: "LakeTarget") -> dg.AssetsDefinition:
    """The month as Parquet in the bucket: one object, or a folder a day of pickup."""
    shapes = {"month": "one object a month", "date": "one folder a day of pickup, Hive style"}

    @dg.asset(
        key=pipeline.key("gcs_parquet"),
        description=f"{pipeline.trips.title} in Cloud Storage, as Parquet: {shapes[target.shape]}; rejected rows below "
        f"`rejected/{pipeline.service}/`; which objects are a month, its log below `_loads/{pipeline.service}/` says.",
        ins={
            "clean_taxi": dg.AssetIn(pipeline.key("clean_taxi")),
            "rejected_taxi": dg.AssetIn(pipeline.key("rejected_taxi")),
        },
        partitions_def=pipeline.partitions,
        io_manager_key="lake_objects",
        pool="lake",
        retry_policy=RETRIES,
        metadata={"dagster/column_schema": metadata.column_schema(pipeline.trips.columns)},
        group_name=pipeline.service,
        owners=pipeline.owners,
        kinds={"googlecloud", "parquet"},
        code_version=pipeline.version,
    )
    def store(
        context: dg.AssetExecutionContext, clean_taxi: TripTable, rejected_taxi: TripTable
    ) -> dg.Output[MonthForLake]:
        with as_failure():
            refuse_trial(clean_taxi, "the lake")
        month = month_of_trips(pipeline, context, clean_taxi, rejected_taxi, ("", ""))
        return dg.Output(
            MonthForLake(month, target.shape),
            metadata={"preview": metadata.preview(clean_taxi), "made_up": made_up(clean_taxi)},
        )

    return store


def bigquery_table(pipeline: "TaxiPipeline", target: "BigQueryTarget") -> dg.AssetsDefinition:
    """The month in BigQuery, loaded from the lake."""

    @dg.asset(
        key=pipeline.key("bigquery_table"),
        description=f"{pipeline.trips.title} in BigQuery: the table {target.dataset}.{target.table}, partitioned by "
        "`source_month`, clustered by the time of pickup, loaded from the objects of `gcs_parquet`.",
        ins={"gcs_parquet": dg.AssetIn(pipeline.key("gcs_parquet"))},
        partitions_def=pipeline.partitions,
        io_manager_key="bigquery_tables",
        pool="bigquery",
        retry_policy=RETRIES,
        metadata={
            "dagster/column_schema": metadata.column_schema(pipeline.trips.columns),
            "dagster/table_name": f"{target.dataset}.{target.table}",
        },
        group_name=pipeline.service,
        owners=pipeline.owners,
        kinds={"bigquery"},
        code_version=pipeline.version,
    )
    def load(context: dg.AssetExecutionContext, gcs_parquet: LakeLoad) -> dg.Output[MonthForWarehouse]:
        month = MonthForWarehouse(
            load=gcs_parquet,
            dataset=target.dataset,
            table=target.table,
            place=place(pipeline.plan, "bigquery", gcs_parquet.entry.source_month),
            run_id=context.run.run_id,
            started_by=started_by(context.run.tags),
        )
        return dg.Output(month, metadata={"made_up": bool(gcs_parquet.entry.configuration.get("made_up"))})

    return load
