"""Lake and warehouse in Dagster: the IO managers that load a month into the bucket and from there into BigQuery."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from taxi_assets import progress
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.files import work_folder
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.files import Shape
from taxi_assets.stores.lake.load import store_month
from taxi_assets.stores.lake.manifest import LakeLoad, lake_load
from taxi_assets.stores.month import MonthOfTrips
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.trips.months import parse_month


@dataclass(frozen=True)
class MonthForLake:
    """A cleaned month on its way into the lake, in one of the two shapes."""

    month: MonthOfTrips
    shape: Shape


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
            dagster_failures(),
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
        with dagster_failures():
            if found := lake_load(self.cloud, service, parse_month(month)):
                return found
            raise TaxiError(
                f"{service} {month} does not stand in the lake.",
                expected=f"an entry of that month in the log of gs://{self.cloud.bucket}",
                next_step=f"materialize {service}/gcs_parquet for {month}, or: taxi run {service} --months {month}",
            )
