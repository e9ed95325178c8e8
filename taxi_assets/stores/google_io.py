"""Lake and warehouse in Dagster: the IO managers that load a month into the bucket and from there into BigQuery."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import dagster as dg

from taxi_assets import progress
from taxi_assets.errors import TaxiError
from taxi_assets.failures import as_failure
from taxi_assets.stores.files import work_folder
from taxi_assets.stores.google import GoogleCloud
from taxi_assets.stores.lake import store_month
from taxi_assets.stores.lake_files import Shape
from taxi_assets.stores.lake_log import LakeLoad, lake_load
from taxi_assets.stores.month import MonthOfTrips
from taxi_assets.stores.postgres import PostgresResource
from taxi_assets.stores.warehouse import replace_month
from taxi_assets.trips.months import parse_month


@dataclass(frozen=True)
class MonthForLake:
    """A cleaned month on its way into the lake, in one of the two shapes."""

    month: MonthOfTrips
    shape: Shape


@dataclass(frozen=True)
class MonthForWarehouse:
    """A month of the lake on its way into a table of BigQuery.

    Attributes:
        load: What the lake's log says of the month.
        dataset: The pipeline's dataset.
        table: The table.
        place: The table with its project, as the log of loads names it.
        run_id: Dagster's run.
        started_by: Who or what started it.
    """

    load: LakeLoad
    dataset: str
    table: str
    place: str
    run_id: str
    started_by: str


class LakeIOManager(dg.ConfigurableIOManager):
    """Stores a month in the bucket, and reads what the lake's log says of it."""

    cloud: GoogleCloud
    postgres: PostgresResource

    def handle_output(self, context: dg.OutputContext, obj: MonthForLake) -> None:
        """Replaces the month in the lake.

        Raises:
            Failure: It could not be stored; the lake's log names the old month then.
        """
        month = obj.month
        name = f"store {month} in the lake"
        # One at a time up to the line in the log of loads: else the newest line may be of other rows than stand there.
        locked = f"gs://{self.cloud.bucket} {month}"
        with (
            work_folder(Path(self.cloud.home), name.replace(" ", "-")) as folder,
            as_failure(),
            self.postgres.month_locked(locked),
        ):
            with progress.task(name, "rows") as report:
                rows = month.kept.rows + month.rejected.rows
                done = store_month(self.cloud, month, obj.shape, folder, lambda sent: report(sent, rows))
            log_id = self.postgres.write_load(done.load.entry)
        context.add_output_metadata(
            {
                "dagster/partition_row_count": done.load.entry.rows_kept,
                "dagster/uri": done.load.entry.place,
                "objects": dg.MetadataValue.json(done.load.uris),
                "bytes": done.load.size,
                "objects_sent": done.sent,
                "objects_removed": done.removed,
                "load_seconds": round(done.seconds, 2),
                "load_log_id": log_id,
            }
        )

    def load_input(self, context: dg.InputContext) -> LakeLoad:
        """What the lake's log says of the month.

        Raises:
            Failure: It was never stored there, or the bucket cannot be read.
        """
        service, month = context.asset_key.path[0], context.partition_key
        with as_failure():
            if found := lake_load(self.cloud, service, parse_month(month)):
                return found
            raise TaxiError(
                f"{service} {month} does not stand in the lake.",
                expected=f"an entry of that month in the log of gs://{self.cloud.bucket}",
                next_step=f"materialize {service}/gcs_parquet for {month}, or: taxi run {service} --months {month}",
            )


class WarehouseIOManager(dg.ConfigurableIOManager):
    """Loads a month of the lake into its table in BigQuery."""

    cloud: GoogleCloud
    postgres: PostgresResource

    def handle_output(self, context: dg.OutputContext, obj: MonthForWarehouse) -> None:
        """Replaces the month in its table.

        Raises:
            Failure: The load failed; the table is as it was.
        """
        name = f"load {obj.load.entry.service} {obj.load.month} into BigQuery"
        # As in the lake; and two first loads of a month, which delete nothing, would not be in each other's way.
        with as_failure(), self.postgres.month_locked(f"{obj.place} {obj.load.month}"):
            with progress.task(name, "rows") as report:
                done = replace_month(self.cloud, obj.load, obj.dataset, obj.table, obj.run_id)
                report(done.rows, done.rows)
            entry = replace(
                obj.load.entry,
                store="bigquery",
                place=obj.place,
                run_id=obj.run_id,
                started_by=obj.started_by,
                seconds=round(done.seconds, 3),
            )
            log_id = self.postgres.write_load(entry)
        context.add_output_metadata(
            {
                "dagster/partition_row_count": done.rows,
                "dagster/table_name": done.place,
                "load_job": done.load_job,
                "replace_job": done.replace_job,
                "load_seconds": round(done.seconds, 2),
                "load_log_id": log_id,
                "look": dg.MetadataValue.md(_look(done.place, obj.load.entry.source_month)),
                **({} if done.bytes is None else {"bytes_processed": done.bytes}),
                **({} if done.slot_millis is None else {"slot_milliseconds": done.slot_millis}),
            }
        )

    def load_input(self, context: dg.InputContext) -> None:
        """Refuses: what stands in BigQuery is read there.

        Raises:
            Failure: Always.
        """
        with as_failure():
            raise TaxiError(
                f"{context.asset_key.to_user_string()} is not read back into Python.",
                next_step="query it through the resource `cloud`, or take gcs_parquet as the input",
            )


def _look(place: str, month: date) -> str:
    return f"`taxi bq \"select * from {place} where source_month = '{month}' limit 10\"`"  # noqa: S608
