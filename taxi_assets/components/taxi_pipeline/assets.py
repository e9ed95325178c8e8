"""The assets of a pipeline: each connects what `trips`, `sources` and `stores` do with Dagster."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from taxi_assets import progress
from taxi_assets.components import metadata
from taxi_assets.environment import Environment, read_environment
from taxi_assets.failures import InterruptibleRetryPolicy, dagster_failures
from taxi_assets.files import work_folder
from taxi_assets.instance.history import NOT_PUBLISHED_TAG
from taxi_assets.pipeline import Lake, PipelineSpec
from taxi_assets.pipeline_conflicts import refuse_mixing
from taxi_assets.pipelines import read_pipelines
from taxi_assets.settings import settings
from taxi_assets.sources.download import held_file
from taxi_assets.sources.errors import NotPublished
from taxi_assets.sources.record import RawFile
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.intermediate import require_unchanged
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.month import CleanedMonth, revision
from taxi_assets.stores.table import TRIAL, TableRef
from taxi_assets.trips.clean import clean_file
from taxi_assets.trips.columns import Column
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable

# For transient errors of a store. A source retries by itself, and cleaning has no transient errors.
RETRIES = InterruptibleRetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

_MACHINE_PARTS = {"path", "fetched_at", "attempts"}
"""The parts of a file's record that differ between machines and fetches of the same file."""


def months_since(first: str) -> dg.PartitionsDefinition[Any]:
    """The months from `first`, like `2019-01`, to the last one that is over in New York.

    The assets name no backfill policy, which means a run a month. With one, even `multi_run(1)`, the runs of a backfill
    get a range of partitions, and IO managers no partition key.
    """
    return dg.MonthlyPartitionsDefinition(start_date=first, fmt="%Y-%m", timezone="America/New_York")


def raw_taxi(pipeline: PipelineSpec) -> dg.AssetsDefinition:
    """The month's file as the TLC published it."""

    @dg.asset(
        key=pipeline.key("raw_taxi"),
        description=f"{pipeline.trips.title}: the month's file as published, byte for byte, with its checksum.",
        partitions_def=months_since(pipeline.start),
        io_manager_key="raw_files",
        pool="source",
        kinds={"file"},
        output_required=False,
    )
    def fetch(
        context: dg.AssetExecutionContext, config: Fetch, trip_source: TripSourceResource
    ) -> Iterator[dg.Output[RawFile]]:
        month = parse_month(context.partition_key)
        with dagster_failures(), progress.task(f"fetch {pipeline.name} {context.partition_key}", "bytes") as report:
            source = trip_source.source(config.source)
            try:
                file = source.fetch(pipeline.service, month, force=config.force, progress=report)
            except NotPublished as absent:
                _note_absence(context, absent)
                return
        if NOT_PUBLISHED_TAG in context.run_tags:  # of the run that this one repeats
            context.instance.add_run_tags(context.run_id, {NOT_PUBLISHED_TAG: "false"})
        if file.synthetic:
            context.instance.add_run_tags(context.run_id, {"taxi/made_up": "true"})
            context.log.warning("These trips are synthetic: they come from a sample source, not from TLC files.")
        yield dg.Output(
            file,
            metadata={
                "url": dg.MetadataValue.url(file.url),
                "bytes": file.bytes,
                "sha256": file.sha256,
                "etag": file.etag,
                "last_modified": file.last_modified,
                "layout": file.layout,
                "synthetic": file.synthetic,
                "attempts": file.attempts,
            },
        )

    return fetch


def _note_absence(context: dg.AssetExecutionContext, absent: NotPublished) -> None:
    """Marks the run of a month that is not published. The steps after it are skipped, and so are the checks.

    A failed run would leave the checks of the asset failed, whatever the months before have.
    """
    context.instance.add_run_tags(context.run_id, {NOT_PUBLISHED_TAG: "true"})
    context.log_event(
        dg.AssetObservation(
            context.asset_key,
            description=absent.summary,
            partition=context.partition_key,
            metadata={"not_published": True, **absent.details},
        )
    )
    context.log.warning(f"Nothing is loaded: {absent}")


def clean_taxi(pipeline: PipelineSpec) -> dg.AssetsDefinition:
    """The month's rows: the kept ones, and the rejected ones with the reason."""
    service, version = pipeline.trips, pipeline.version
    rules = ", ".join(rule.reason for rule in pipeline.reject)
    lineage = {
        "clean_taxi": metadata.source_lineage(service.columns, pipeline.key("raw_taxi")),
        "rejected_taxi": metadata.source_lineage(service.rejected_columns, pipeline.key("raw_taxi")),
    }

    def out(name: str, description: str, columns: Sequence[Column]) -> dg.AssetOut:
        return dg.AssetOut(
            key=pipeline.key(name),
            description=f"{service.title}: {description}",
            io_manager_key="trip_tables",
            metadata=metadata.column_metadata(columns, lineage[name]),
            kinds={"parquet"},
        )

    @dg.multi_asset(
        name=f"{pipeline.name}_clean",
        ins={"raw_taxi": dg.AssetIn(pipeline.key("raw_taxi"))},
        outs={
            "clean_taxi": out("clean_taxi", "the kept trips.", service.columns),
            "rejected_taxi": out("rejected_taxi", f"the rejected rows: {rules}.", service.rejected_columns),
        },
        partitions_def=months_since(pipeline.start),
    )
    def clean(context: dg.AssetExecutionContext, config: Clean, raw_taxi: RawFile) -> Iterator[dg.Output[TripTable]]:
        name = f"{pipeline.name} {context.partition_key}"
        with work_folder(settings().taxi_home, f"clean-{name.replace(' ', '-')}") as folder:
            with (
                dagster_failures(),
                progress.task(f"clean {name}", "rows") as report,
                held_file(raw_taxi.path, folder) as (path, record),
            ):
                file = require_unchanged(pipeline.name, raw_taxi, record)
                cleaning = clean_file(
                    path,
                    name=file.url,
                    service=service,
                    month=file.month,
                    rules=pipeline.reject,
                    folder=folder,
                    metadata=_file_metadata(file, version, config.limit),
                    limit=config.limit,
                    least_inside=pipeline.least_pickups_inside,
                    progress=lambda rows: report(rows, None),
                )
            shared = metadata.summary_metadata(cleaning.summary, amounts=service.has_amounts)
            shared |= {"synthetic": file.synthetic, "limit": config.limit, **_trial_mark(config.limit)}
            for output, table in (("clean_taxi", cleaning.kept), ("rejected_taxi", cleaning.rejected)):
                shown = {**shared, "preview": metadata.preview(table), metadata.LINEAGE: lineage[output]}
                if output == "clean_taxi":
                    shown["plot"] = metadata.trips_by_hour(cleaning.summary)
                yield dg.Output(table, output, metadata=shown)

    return clean


def _file_metadata(file: RawFile, version: str, limit: int | None) -> dict[str, Any]:
    """The metadata that the cleaned files carry: source, versions of cleaning and code, the limit of a trial."""
    record = file.model_dump(mode="json", exclude=_MACHINE_PARTS)
    return {"source": record, "cleaning": version, "code": revision(), **({"limit": limit} if limit else {})}


def postgres_table(pipeline: PipelineSpec) -> dg.AssetsDefinition:
    """The month in PostgreSQL, for analysts; the IO manager loads it."""
    table = pipeline.postgres
    lineage = metadata.copy_lineage(pipeline.trips.columns, pipeline.key("clean_taxi"))

    @dg.asset(
        key=pipeline.key("postgres_table"),
        description=f"{pipeline.trips.title} in PostgreSQL: the table {table}, one partition a month of the TLC's "
        f"files; rejected rows in {table.name}_rejected beside it.",
        ins={name: dg.AssetIn(pipeline.key(name)) for name in ("clean_taxi", "rejected_taxi")},
        partitions_def=months_since(pipeline.start),
        io_manager_key="postgres_tables",
        pool="postgres",
        retry_policy=RETRIES,
        metadata=metadata.column_metadata(pipeline.trips.columns, lineage) | metadata.table_metadata(table),
        kinds={"postgres"},
    )
    def load(
        context: dg.AssetExecutionContext, clean_taxi: TripTable, rejected_taxi: TripTable
    ) -> dg.Output[CleanedMonth]:
        month = _cleaned(pipeline, context, clean_taxi, rejected_taxi)
        _refuse_mixing(pipeline, "postgres", context, trial=month.trial)
        return dg.Output(month, metadata=_month_metadata(clean_taxi, lineage))

    return load


def gcs_parquet(pipeline: PipelineSpec, lake: Lake) -> dg.AssetsDefinition:
    """The month as Parquet in the bucket: one object, or a folder a day of pickup."""
    shapes = {"month": "one object a month", "date": "one folder a day of pickup, Hive style"}
    lineage = metadata.copy_lineage(pipeline.trips.columns, pipeline.key("clean_taxi"))

    @dg.asset(
        key=pipeline.key("gcs_parquet"),
        description=f"{pipeline.trips.title} in Cloud Storage, as Parquet: {shapes[lake.shape]}; rejected rows below "
        f"`rejected/{pipeline.name}/`. The manifests below `_loads/{pipeline.name}/` list each month's objects.",
        ins={name: dg.AssetIn(pipeline.key(name)) for name in ("clean_taxi", "rejected_taxi")},
        partitions_def=months_since(pipeline.start),
        io_manager_key="lake_objects",
        pool="lake",
        retry_policy=RETRIES,
        metadata=metadata.column_metadata(pipeline.trips.columns, lineage) | {"shape": lake.shape},
        kinds={"googlecloud", "parquet"},
        output_required=False,
    )
    def store(
        context: dg.AssetExecutionContext, clean_taxi: TripTable, rejected_taxi: TripTable
    ) -> Iterator[dg.Output[CleanedMonth]]:
        month = _cleaned(pipeline, context, clean_taxi, rejected_taxi)
        if month.trial:
            context.log.info("A trial goes to PostgreSQL only: the lake and what is loaded from it are skipped.")
        else:
            yield dg.Output(month, metadata=_month_metadata(clean_taxi, lineage))

    return store


def bigquery_table(pipeline: PipelineSpec, table: TableRef) -> dg.AssetsDefinition:
    """The month in BigQuery, loaded from the lake."""
    lineage = metadata.copy_lineage(pipeline.trips.columns, pipeline.key("gcs_parquet"))

    @dg.asset(
        key=pipeline.key("bigquery_table"),
        description=f"{pipeline.trips.title} in BigQuery: the table {table}, partitioned by "
        "`source_month`, clustered by the time of pickup, loaded from the objects of `gcs_parquet`.",
        ins={"gcs_parquet": dg.AssetIn(pipeline.key("gcs_parquet"))},
        partitions_def=months_since(pipeline.start),
        io_manager_key="bigquery_tables",
        pool="bigquery",
        retry_policy=RETRIES,
        metadata=metadata.column_metadata(pipeline.trips.columns, lineage) | metadata.table_metadata(table),
        kinds={"bigquery"},
    )
    def load(context: dg.AssetExecutionContext, gcs_parquet: LakeLoad) -> dg.Output[LakeLoad]:
        _refuse_mixing(pipeline, "bigquery", context, trial=False)
        synthetic = bool(gcs_parquet.entry.configuration.get("made_up"))
        return dg.Output(gcs_parquet, metadata={"synthetic": synthetic, metadata.LINEAGE: lineage})

    return load


def _cleaned(
    pipeline: PipelineSpec, context: dg.AssetExecutionContext, kept: TripTable, rejected: TripTable
) -> CleanedMonth:
    return CleanedMonth(pipeline.trips, parse_month(context.partition_key), kept, rejected, pipeline.name)


def _refuse_mixing(pipeline: PipelineSpec, store: str, context: dg.AssetExecutionContext, *, trial: bool) -> None:
    environment = read_environment(context.run.run_config) or Environment.here()
    with dagster_failures():
        refuse_mixing(pipeline, read_pipelines(), [store], environment, trial=trial)


def _month_metadata(kept: TripTable, lineage: dg.TableColumnLineage) -> dict[str, Any]:
    synthetic = bool(kept.metadata["source"]["sample"])
    trial = _trial_mark(kept.metadata.get("limit"))
    return {"preview": metadata.preview(kept), "synthetic": synthetic, metadata.LINEAGE: lineage, **trial}


def _trial_mark(limit: int | None) -> dict[str, Any]:
    return {"trial": f"only the first {limit:,} rows of the file"} if limit else {}


class Fetch(dg.Config):
    """How a month's file is fetched."""

    force: bool = Field(False, description="Fetch the file even though its newest version is on this machine.")
    replace_real: bool = Field(
        False,
        description="Load synthetic trips also over or beside real months, and a trial also over a full one. `taxi run "
        "--force` sets it. The load log records it.",
    )
    source: str | None = Field(
        None,
        description="Where this run's file comes from: `tlc`, `mirror`, `sample` (synthetic trips, for embedded stores "
        "only), or an http, https or file address without credentials. Without it: TAXI_SOURCE_URL.",
    )


class Clean(dg.Config):
    """How a month is cleaned."""

    limit: int | None = Field(
        None,
        ge=1,
        description=f"For a trial: only the first so many rows of the file. They go to the schema `{TRIAL}` of "
        "PostgreSQL (or to POSTGRES_SCHEMA, where that is set), never in the place of a full month; lake and BigQuery "
        "are skipped.",
    )


def run_source(pipeline: str, run_config: Mapping[str, Any]) -> str | None:
    """The source that a run's configuration names; None: it is the one of TAXI_SOURCE_URL."""
    source = run_config.get("ops", {}).get(f"{pipeline}__raw_taxi", {}).get("config", {}).get("source")
    return str(source) if source else None
