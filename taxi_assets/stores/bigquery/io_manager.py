"""BigQuery in Dagster: the IO managers of the trips and of tables that an asset makes in Arrow or pandas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dagster as dg
import pyarrow as pa

from taxi_assets import progress
from taxi_assets.failures import dagster_failures
from taxi_assets.settings import settings
from taxi_assets.stores.bigquery.load import load_month
from taxi_assets.stores.bigquery.loaded import real_months
from taxi_assets.stores.bigquery.metadata import INTACT, Context, look, month_of, output_metadata, table_of
from taxi_assets.stores.bigquery.replace import fitted, read_rows, replace_rows
from taxi_assets.stores.bigquery.resource import bigquery_session
from taxi_assets.stores.google.resource import GoogleCloudResource
from taxi_assets.stores.guard import HeldMonth, is_synthetic, refuse_worse
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.month import LoadEntry, Provenance
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.stores.record import LEDGER_KEY
from taxi_assets.stores.table import TableRef, bigquery_table, declared_table
from taxi_assets.trips.months import parse_month


class BigQueryIOManager(dg.ConfigurableIOManager):
    """Loads a month of the lake into the table that its asset's metadata names."""

    cloud: GoogleCloudResource
    postgres: PostgresResource

    def _location(self, context: Context) -> TableRef:
        # The project by the settings, as everything that looks a month up in the load log.
        return bigquery_table(declared_table(context), settings().bigquery_project, self.cloud.dataset)

    def handle_output(self, context: dg.OutputContext, obj: LakeLoad) -> None:
        """Replaces the month in its table.

        Raises:
            Failure: The load failed; the table is as it was.
        """
        location = str(self._location(context))
        name = f"load {obj.entry.pipeline} {obj.month} into BigQuery"
        with dagster_failures():
            provenance = Provenance.of(context, self.postgres.ledger_identity())
            if is_synthetic(obj.entry) and not provenance.replaces_real:
                self._refuse_synthetic(replace(obj.entry, store="bigquery", place=location), declared_table(context))
            with progress.task(name, "rows") as report:
                done = load_month(self.cloud, obj, declared_table(context), provenance)
                report(done.rows, done.rows)
            entry = replace(
                obj.entry,
                store="bigquery",
                place=location,
                run_id=provenance.run_id,
                started_by=provenance.started_by,
                seconds=round(done.seconds, 3),
                configuration={**obj.logged_entry.configuration, LEDGER_KEY: provenance.ledger},
            )
            log_id = self.postgres.write_load(entry)
        context.add_output_metadata(
            {
                "dagster/partition_row_count": done.rows,
                "dagster/table_name": done.place,
                "rejected_rows": done.rejected_rows,
                "load_job": done.load_job,
                "replace_job": done.replace_job,
                "load_seconds": round(done.seconds, 2),
                "load_log_id": log_id,
                "look": look(done.place, obj.entry.source_month),
                **({} if done.bytes is None else {"bytes_processed": done.bytes}),
                **({} if done.slot_millis is None else {"slot_milliseconds": done.slot_millis}),
            }
        )

    def _refuse_synthetic(self, entry: LoadEntry, declared: TableRef) -> None:
        loads = self.postgres.latest_loads(store="bigquery")
        known = [load for load in loads if load.place == entry.place]
        # BigQuery's own log takes a job to read; where only synthetic months were loaded, it has no others.
        if not known or not all(map(is_synthetic, known)):
            held = [HeldMonth(month, synthetic=False, trial=False) for month in real_months(self.cloud, declared)]
            refuse_worse(entry, held)

    def load_input(self, context: dg.InputContext) -> LoadEntry:
        """The newest load of the month into its table.

        Raises:
            Failure: The month was never loaded, or the load log cannot be reached.
        """
        pipeline, month = context.asset_key.path[0], parse_month(context.partition_key)
        with dagster_failures():
            return self.postgres.newest_load("bigquery", pipeline, month, str(self._location(context)))


class ArrowTableIOManager(dg.ConfigurableIOManager):
    """Replaces a month of a table, or all of it, by the rows of an Arrow table, and reads them."""

    cloud: GoogleCloudResource

    def handle_output(self, context: dg.OutputContext, obj: pa.Table) -> None:
        """Writes the rows.

        Raises:
            Failure: BigQuery cannot be reached or refuses; the table is as it was.
        """
        name, month = context.asset_key.to_user_string(), month_of(context)
        doing = f"Writing {name} to BigQuery"
        with dagster_failures(), bigquery_session(self.cloud, doing, declared_table(context), INTACT) as session:
            table = table_of(session, context)
            done = replace_rows(session, table, fitted(obj, table.columns), month)
        context.add_output_metadata(output_metadata(table, done, month))

    def load_input(self, context: dg.InputContext) -> pa.Table:
        """The rows of the month, or of a table that has no months.

        Raises:
            Failure: BigQuery cannot be reached or refuses.
        """
        doing = f"Reading {context.asset_key.to_user_string()} from BigQuery"
        with dagster_failures(), bigquery_session(self.cloud, doing, declared_table(context), INTACT) as session:
            return read_rows(session, table_of(session, context), month_of(context))


class DataFrameIOManager(dg.ConfigurableIOManagerFactory[Any]):
    """The project's `BigQueryPandasIOManager`, imported where a step needs it: pandas takes 50 MB and a second."""

    cloud: GoogleCloudResource

    def create_io_manager(self, context: dg.InitResourceContext) -> Any:
        """Creates it."""
        from taxi_assets.stores.bigquery.pandas_io_manager import TaxiBigQueryPandasIOManager

        cloud = self.cloud
        manager = TaxiBigQueryPandasIOManager(cloud=cloud, project=cloud.project or "", dataset=cloud.dataset)
        return manager.create_io_manager(context)
