"""The assets of a pipeline, each a few lines: what they do is in `trips`, `sources` and `stores`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from taxi_assets import progress
from taxi_assets.components import metadata
from taxi_assets.components.taxi_pipeline.run_config import Clean, Fetch
from taxi_assets.failures import dagster_failures
from taxi_assets.files import work_folder
from taxi_assets.settings import settings
from taxi_assets.sources.record import RawFile
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.month import CleanedMonth
from taxi_assets.stores.table import TableRef
from taxi_assets.trips.clean import clean_file
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable

if TYPE_CHECKING:
    from taxi_assets.components.taxi_pipeline.component import TaxiPipeline
    from taxi_assets.pipeline import Lake

# For what may pass while a store is written. A source asks again by itself, and cleaning has nothing that passes.
RETRIES = dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


_HERE_AND_NOW = {"path", "fetched_at", "attempts"}


def raw_taxi(pipeline: "TaxiPipeline") -> dg.AssetsDefinition:
    """The month's file as the TLC published it."""

    @dg.asset(
        key=pipeline.key("raw_taxi"),
        description=f"{pipeline.trips.title}: the month's file as published, byte for byte, with its checksum.",
        partitions_def=pipeline.partitions,
        io_manager_key="raw_files",
        pool="source",
        group_name=pipeline.service,
        owners=pipeline.owners,
        kinds={"file"},
        code_version=pipeline.version,
    )
    def fetch(context: dg.AssetExecutionContext, config: Fetch, trip_source: TripSourceResource) -> dg.Output[RawFile]:
        month = parse_month(context.partition_key)
        with dagster_failures(), progress.task(f"fetch {pipeline.service} {context.partition_key}", "bytes") as report:
            source = trip_source.source(config.source)
            file = source.fetch(pipeline.service, month, force=config.force, progress=report)
        if file.synthetic:
            context.instance.add_run_tags(context.run_id, {"taxi/made_up": "true"})
            context.log.warning("These trips are made up: they come from the sample source (TAXI_SOURCE_URL is unset).")
        return dg.Output(
            file,
            metadata={
                "url": dg.MetadataValue.url(file.url),
                "bytes": file.bytes,
                "sha256": file.sha256,
                "etag": file.etag,
                "last_modified": file.last_modified,
                "layout": file.layout,
                "made_up": file.synthetic,
                "attempts": file.attempts,
            },
        )

    return fetch


def _described(file: RawFile) -> dict[str, Any]:
    """What is noted of the file with the rows; not where it stands here and when it was fetched: that says nothing."""
    return file.model_dump(mode="json", exclude=_HERE_AND_NOW)


def clean_taxi(pipeline: "TaxiPipeline") -> dg.AssetsDefinition:
    """The month's rows: those that are kept, and those that are rejected with the reason."""
    service = pipeline.trips
    rules = ", ".join(rule.reason for rule in pipeline.reject)

    def out(name: str, description: str, columns: Any) -> dg.AssetOut:
        return dg.AssetOut(
            key=pipeline.key(name),
            description=description,
            io_manager_key="trip_tables",
            metadata={"dagster/column_schema": metadata.column_schema(columns)},
            group_name=pipeline.service,
            owners=pipeline.owners,
            kinds={"parquet"},
            code_version=pipeline.version,
        )

    @dg.multi_asset(
        name=f"{pipeline.service}_clean",
        ins={"raw_taxi": dg.AssetIn(pipeline.key("raw_taxi"))},
        outs={
            "clean_taxi": out("clean_taxi", f"{service.title}: the trips that were kept.", service.columns),
            "rejected_taxi": out(
                "rejected_taxi", f"{service.title}: the rows left out, and why: {rules}.", service.rejected_columns
            ),
        },
        partitions_def=pipeline.partitions,
    )
    def clean(context: dg.AssetExecutionContext, config: Clean, raw_taxi: RawFile) -> Iterator[dg.Output[TripTable]]:
        name = f"{pipeline.service} {context.partition_key}"
        with work_folder(settings().taxi_home, f"clean-{name.replace(' ', '-')}") as folder:
            with dagster_failures(), progress.task(f"clean {name}", "rows") as report:
                cleaning = clean_file(
                    raw_taxi.path,
                    name=raw_taxi.url,
                    service=service,
                    month=raw_taxi.month,
                    rules=pipeline.reject,
                    folder=folder,
                    metadata={
                        "source": _described(raw_taxi),
                        "cleaning": pipeline.version,
                        **({"limit": config.limit} if config.limit else {}),
                    },
                    limit=config.limit,
                    progress=lambda rows: report(rows, None),
                )
            shown = {
                **metadata.summary_metadata(cleaning.summary),
                "made_up": raw_taxi.synthetic,
                "limit": config.limit,
            }
            plot = metadata.trips_by_hour(cleaning.summary)
            preview = metadata.preview(cleaning.kept), metadata.preview(cleaning.rejected)
            yield dg.Output(cleaning.kept, "clean_taxi", metadata={**shown, "plot": plot, "preview": preview[0]})
            yield dg.Output(cleaning.rejected, "rejected_taxi", metadata={**shown, "preview": preview[1]})

    return clean


def postgres_table(pipeline: "TaxiPipeline") -> dg.AssetsDefinition:
    """The month in PostgreSQL, for analysts; the IO manager loads it."""
    target = pipeline.postgres

    @dg.asset(
        key=pipeline.key("postgres_table"),
        description=f"{pipeline.trips.title} in PostgreSQL: the table {target}, one "
        f"partition a month of the TLC's files; rejected rows in {target.name}_rejected beside it.",
        ins={
            "clean_taxi": dg.AssetIn(pipeline.key("clean_taxi")),
            "rejected_taxi": dg.AssetIn(pipeline.key("rejected_taxi")),
        },
        partitions_def=pipeline.partitions,
        io_manager_key="postgres_tables",
        pool="postgres",
        retry_policy=RETRIES,
        metadata={
            "schema": target.namespace,
            "table": target.name,
            "dagster/column_schema": metadata.column_schema(pipeline.trips.columns),
            "dagster/table_name": str(target),
        },
        group_name=pipeline.service,
        owners=pipeline.owners,
        kinds={"postgres"},
        code_version=pipeline.version,
    )
    def load(
        context: dg.AssetExecutionContext, clean_taxi: TripTable, rejected_taxi: TripTable
    ) -> dg.Output[CleanedMonth]:
        return dg.Output(
            CleanedMonth(pipeline.trips, parse_month(context.partition_key), clean_taxi, rejected_taxi),
            metadata={"preview": metadata.preview(clean_taxi), "made_up": made_up(clean_taxi)},
        )

    return load


def gcs_parquet(pipeline: "TaxiPipeline", target: "Lake") -> dg.AssetsDefinition:
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
        metadata={
            "shape": target.shape,
            "dagster/column_schema": metadata.column_schema(pipeline.trips.columns),
        },
        group_name=pipeline.service,
        owners=pipeline.owners,
        kinds={"googlecloud", "parquet"},
        code_version=pipeline.version,
    )
    def store(
        context: dg.AssetExecutionContext, clean_taxi: TripTable, rejected_taxi: TripTable
    ) -> dg.Output[CleanedMonth]:
        return dg.Output(
            CleanedMonth(pipeline.trips, parse_month(context.partition_key), clean_taxi, rejected_taxi),
            metadata={"preview": metadata.preview(clean_taxi), "made_up": made_up(clean_taxi)},
        )

    return store


def bigquery_table(pipeline: "TaxiPipeline", target: TableRef) -> dg.AssetsDefinition:
    """The month in BigQuery, loaded from the lake."""

    @dg.asset(
        key=pipeline.key("bigquery_table"),
        description=f"{pipeline.trips.title} in BigQuery: the table {target}, partitioned by "
        "`source_month`, clustered by the time of pickup, loaded from the objects of `gcs_parquet`.",
        ins={"gcs_parquet": dg.AssetIn(pipeline.key("gcs_parquet"))},
        partitions_def=pipeline.partitions,
        io_manager_key="bigquery_tables",
        pool="bigquery",
        retry_policy=RETRIES,
        metadata={
            "schema": target.namespace,
            "table": target.name,
            "dagster/column_schema": metadata.column_schema(pipeline.trips.columns),
            "dagster/table_name": str(target),
        },
        group_name=pipeline.service,
        owners=pipeline.owners,
        kinds={"bigquery"},
        code_version=pipeline.version,
    )
    def load(gcs_parquet: LakeLoad) -> dg.Output[LakeLoad]:
        return dg.Output(gcs_parquet, metadata={"made_up": bool(gcs_parquet.entry.configuration.get("made_up"))})

    return load


def made_up(table: TripTable) -> bool:
    """Whether the rows come from the sample source."""
    return bool(table.metadata["source"]["sample"])
