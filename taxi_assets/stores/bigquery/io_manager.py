"""BigQuery in Dagster: the IO managers of the trips and of tables that an asset makes in Arrow or pandas.

The metadata of an asset's definition says what its table is: `table_metadata` writes it, `table_of` reads it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from taxi_assets import progress
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.bigquery.load import load_month
from taxi_assets.stores.bigquery.replace import Replaced, fitted, read_rows, replace_rows
from taxi_assets.stores.bigquery.resource import BigQuerySession, bigquery_session
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.locations import bigquery_table
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.stores.provenance import Provenance
from taxi_assets.stores.table import Table, TableRef, declared_metadata, declared_table
from taxi_assets.trips.columns import Column, ColumnType
from taxi_assets.trips.months import parse_month

INTACT = "the table as it was before"

Context = dg.OutputContext | dg.InputContext


def table_metadata(table: Table) -> dict[str, Any]:
    """The metadata for the definition of an asset that is this table: with dagster-gcp's keys where it has them."""
    columns = [dg.TableColumn(column.name, column.type.value, column.comment) for column in table.columns]
    return {
        "schema": table.ref.namespace,
        "table": table.ref.name,
        "dagster/table_name": str(table),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        **({"partition_expr": "source_month"} if table.monthly else {}),
    }


def table_of(session: BigQuerySession, context: Context) -> Table:
    """The table that the metadata of an asset's definition describes; BIGQUERY_DATASET overrides its dataset."""
    columns = tuple(
        Column(column.name, ColumnType(column.type), column.description or "")
        for column in declared_metadata(context)["dagster/column_schema"].columns
    )
    spec = getattr(context, "asset_spec", None)
    description = (spec and spec.description) or context.asset_key.to_user_string()
    return Table(session.table(declared_table(context)), columns, description)


def month_of(context: Context) -> date | None:
    """The month of a run's partition; None where the asset has none."""
    return parse_month(context.partition_key) if context.has_partition_key else None


def output_metadata(table: Table, done: Replaced, month: date | None) -> dict[str, Any]:
    """The metadata of a materialization that replaced rows of a table."""
    return {
        "dagster/partition_row_count" if month else "dagster/row_count": done.rows,
        "dagster/table_name": str(table),
        "replace_job": done.replace_job.job_id,
        "look": look(str(table), month),
    }


def look(table: str, month: date | None = None) -> dg.MetadataValue[Any]:
    """The command that shows ten rows."""
    where = f" where source_month = '{month}'" if month else ""
    return dg.MetadataValue.md(f'`taxi bq "select * from {table}{where} limit 10"`')  # noqa: S608


class BigQueryIOManager(dg.ConfigurableIOManager):
    """Loads a month of the lake into the table that its asset's metadata names."""

    cloud: GoogleCloud
    postgres: PostgresResource

    def _location(self, context: Context) -> TableRef:
        return bigquery_table(declared_table(context), self.cloud.project, self.cloud.dataset)

    def handle_output(self, context: dg.OutputContext, obj: LakeLoad) -> None:
        """Replaces the month in its table.

        Raises:
            Failure: The load failed; the table is as it was.
        """
        location, provenance = str(self._location(context)), Provenance.of(context)
        name = f"load {obj.entry.service} {obj.month} into BigQuery"
        # As in the lake; and two first loads of a month, which delete nothing, would not be in each other's way.
        with dagster_failures(), self.postgres.month_locked(f"{location} {obj.month}"):
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
                "look": look(done.place, obj.entry.source_month),
                **({} if done.bytes is None else {"bytes_processed": done.bytes}),
                **({} if done.slot_millis is None else {"slot_milliseconds": done.slot_millis}),
            }
        )

    def load_input(self, context: dg.InputContext) -> LoadEntry:
        """The newest load of the month into its table.

        Raises:
            Failure: The month was never loaded, or the load log cannot be reached.
        """
        service, month = context.asset_key.path[0], parse_month(context.partition_key)
        with dagster_failures():
            return self.postgres.newest_load("bigquery", service, month, str(self._location(context)))


class ArrowTableIOManager(dg.ConfigurableIOManager):
    """Replaces a month of a table, or all of it, by the rows of an Arrow table, and reads them."""

    cloud: GoogleCloud

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

    cloud: GoogleCloud

    def create_io_manager(self, context: dg.InitResourceContext) -> Any:
        """Creates it."""
        from taxi_assets.stores.bigquery.pandas_io_manager import TaxiBigQueryPandasIOManager

        cloud = self.cloud
        manager = TaxiBigQueryPandasIOManager(cloud=cloud, project=cloud.project or "", dataset=cloud.dataset)
        return manager.create_io_manager(context)
