"""The assets of a pipeline, each a few lines: what they do is in `trips`, `sources` and `stores`."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from taxi_assets import progress
from taxi_assets.components import metadata
from taxi_assets.components.parameters import Clean, Fetch
from taxi_assets.failures import as_failure
from taxi_assets.sources.record import RawFile
from taxi_assets.sources.resource import TripSourceResource
from taxi_assets.stores.files import work_folder
from taxi_assets.trips.clean import clean_file
from taxi_assets.trips.months import parse_month
from taxi_assets.trips.table import TripTable

if TYPE_CHECKING:
    from taxi_assets.components.pipeline import TaxiPipeline

# For what may pass while a store is written. A source asks again by itself, and cleaning has nothing that passes.
RETRIES = dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


_HERE_AND_NOW = ("path", "fetched_at", "attempts")


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
        with as_failure(), progress.task(f"fetch {pipeline.service} {context.partition_key}", "bytes") as report:
            source = trip_source.source(config.source)
            file = source.fetch(pipeline.service, month, force=config.force, progress=report)
        if file.sample:
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
                "made_up": file.sample,
                "attempts": file.attempts,
            },
        )

    return fetch


def _described(file: RawFile) -> dict[str, Any]:
    """What is noted of the file with the rows; not where it stands here and when it was fetched: that says nothing."""
    return {name: value for name, value in json.loads(file.to_json()).items() if name not in _HERE_AND_NOW}


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
    def clean(
        context: dg.AssetExecutionContext, config: Clean, raw_taxi: RawFile, trip_source: TripSourceResource
    ) -> Iterator[dg.Output[TripTable]]:
        name = f"{pipeline.service} {context.partition_key}"
        with work_folder(trip_source.home_folder, f"clean-{name.replace(' ', '-')}") as folder:
            with as_failure(), progress.task(f"clean {name}", "rows") as report:
                cleaning = clean_file(
                    raw_taxi.path,
                    name=raw_taxi.url,
                    service=service,
                    month=raw_taxi.month,
                    rules=pipeline.reject,
                    folder=folder,
                    note={
                        "source": _described(raw_taxi),
                        "cleaning": pipeline.version,
                        **({"limit": config.limit} if config.limit else {}),
                    },
                    limit=config.limit,
                    progress=lambda rows: report(rows, None),
                )
            shown = {**metadata.summary_metadata(cleaning.summary), "made_up": raw_taxi.sample, "limit": config.limit}
            plot = metadata.trips_by_hour(cleaning.summary)
            preview = metadata.preview(cleaning.kept), metadata.preview(cleaning.rejected)
            yield dg.Output(cleaning.kept, "clean_taxi", metadata={**shown, "plot": plot, "preview": preview[0]})
            yield dg.Output(cleaning.rejected, "rejected_taxi", metadata={**shown, "preview": preview[1]})

    return clean
