"""The IO manager that stores a cleaned month in the lake."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from taxi_assets import progress
from taxi_assets.errors import TaxiError
from taxi_assets.failures import dagster_failures
from taxi_assets.files import work_folder
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.guard import HeldMonth, is_synthetic, refuse_worse
from taxi_assets.stores.lake.load import store_month
from taxi_assets.stores.lake.manifest import LakeLoad, read_manifest, read_manifests
from taxi_assets.stores.month import CleanedMonth, Provenance, refuse_trial
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.stores.table import declared_metadata
from taxi_assets.trips.months import parse_month


class LakeIOManager(dg.ConfigurableIOManager):
    """Stores a month in the bucket, and reads its manifest."""

    cloud: GoogleCloudResource
    postgres: PostgresResource

    def handle_output(self, context: dg.OutputContext, obj: CleanedMonth) -> None:
        """Replaces the month in the lake.

        Raises:
            Failure: These are the rows of a trial, or the month could not be stored; the manifest names the old month.
        """
        with dagster_failures():
            refuse_trial(obj.kept, "the lake")
        name, shape = f"store {obj} in the lake", declared_metadata(context)["shape"]
        with work_folder(Path(self.cloud.home), name.replace(" ", "-")) as folder, dagster_failures():
            run = Provenance.of(context, self.postgres.ledger_identity())
            self._refuse_synthetic(obj, run)
            with progress.task(name, "rows") as report:
                rows = obj.kept.rows + obj.rejected.rows
                done = store_month(self.cloud, obj, shape, folder, run, progress=lambda sent: report(sent, rows))
            log_id = self.postgres.write_load(done.load.logged_entry)
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

    def _refuse_synthetic(self, month: CleanedMonth, run: Provenance) -> None:
        entry = month.entry("lake", f"gs://{self.cloud.bucket}/{month.pipeline}/", run)
        if is_synthetic(entry) and not run.replaces_real:
            loads = read_manifests(self.cloud, month.pipeline)
            refuse_worse(entry, [HeldMonth.of(load.entry) for load in loads])

    def load_input(self, context: dg.InputContext) -> LakeLoad:
        """The manifest of the month.

        Raises:
            Failure: It was never stored there, or the bucket cannot be read.
        """
        pipeline, month = context.asset_key.path[0], context.partition_key
        with dagster_failures():
            if manifest := read_manifest(self.cloud, pipeline, parse_month(month)):
                return manifest
            raise TaxiError(
                f"{pipeline} {month} is not in the lake.",
                expected=f"the manifest of that month in gs://{self.cloud.bucket}",
                next_step=f"materialize {pipeline}/gcs_parquet for {month}, or: taxi run {pipeline} --months {month}",
            )
