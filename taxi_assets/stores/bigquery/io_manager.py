"""Small tables of the warehouse in Dagster: the IO managers for rows in Arrow and for data frames of pandas.

The asset's definition says what the table is, in its metadata: `table_metadata` writes it, `table_of` reads it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa

from taxi_assets import progress
from taxi_assets.failures import dagster_failures
from taxi_assets.stores.bigquery.client import connected
from taxi_assets.stores.bigquery.load import replace_month
from taxi_assets.stores.bigquery.replace import SmallTable, Written, fitted, read_rows, replace_rows
from taxi_assets.stores.google.resource import GoogleCloud
from taxi_assets.stores.lake.manifest import LakeLoad
from taxi_assets.stores.locations import bigquery_table
from taxi_assets.stores.month import LoadEntry
from taxi_assets.stores.postgres.resource import PostgresResource
from taxi_assets.stores.provenance import Provenance
from taxi_assets.stores.table import TableRef, declared_metadata, declared_table
from taxi_assets.trips.columns import Column, ColumnType
from taxi_assets.trips.months import parse_month

INTACT = "the table as it was before"


def table_metadata(table: SmallTable) -> dict[str, Any]:
    """What the definition of an asset says of its table: with dagster-gcp's keys where it has them."""
    columns = [dg.TableColumn(column.name, column.type.value, column.comment) for column in table.columns]
    return {
        "schema": table.dataset,
        "table": table.table,
        "dagster/table_name": str(table),
        "dagster/column_schema": dg.TableSchema(columns=columns),
        **({"partition_expr": "source_month"} if table.monthly else {}),
    }


def table_of(cloud: GoogleCloud, context: dg.OutputContext | dg.InputContext) -> SmallTable:
    """The table that the metadata of an asset describes; BIGQUERY_DATASET wins over its dataset."""
    metadata = declared_metadata(context)
    columns = tuple(
        Column(column.name, ColumnType(column.type), column.description or "")
        for column in metadata["dagster/column_schema"].columns
    )
    spec = getattr(context, "asset_spec", None)
    description = (spec and spec.description) or context.asset_key.to_user_string()
    return SmallTable(cloud.dataset or metadata["schema"], metadata["table"], columns, description)


def month_of(context: dg.OutputContext | dg.InputContext) -> date | None:
    """The month of a run's partition; None where the asset has none."""
    return parse_month(context.partition_key) if context.has_partition_key else None


def output_metadata(written: Written, month: date | None) -> dict[str, Any]:
    """What a replacement tells Dagster."""
    counted = "dagster/partition_row_count" if month else "dagster/row_count"
    where = f" where source_month = '{month}'" if month else ""
    return {
        counted: written.rows,
        "dagster/table_name": written.place,
        "replace_job": written.job,
        "look": dg.MetadataValue.md(f'`taxi bq "select * from {written.place}{where} limit 10"`'),  # noqa: S608
    }


class ArrowTableIOManager(dg.ConfigurableIOManager):
    """Replaces a month of a table, or all of it, by the rows of an Arrow table."""

    cloud: GoogleCloud

    def handle_output(self, context: dg.OutputContext, obj: pa.Table) -> None:
        """Writes the rows.

        Raises:
            Failure: BigQuery cannot be reached or refuses; the table is as it was.
        """
        name = context.asset_key.to_user_string()
        table = table_of(self.cloud, context)
        doing = f"Writing {name} to BigQuery"
        with dagster_failures(), connected(self.cloud, doing, str(table), INTACT) as warehouse:
            written = replace_rows(warehouse, table, fitted(obj, table.columns), month_of(context))
        context.add_output_metadata(output_metadata(written, month_of(context)))

    def load_input(self, context: dg.InputContext) -> pa.Table:
        """The rows of the month, or of a table that has no months.

        Raises:
            Failure: BigQuery cannot be reached or refuses.
        """
        name = context.asset_key.to_user_string()
        table = table_of(self.cloud, context)
        with dagster_failures(), connected(self.cloud, f"Reading {name} from BigQuery", str(table)) as warehouse:
            return read_rows(warehouse, table, month_of(context))


class DataFrameIOManager(dg.ConfigurableIOManagerFactory[Any]):
    """The project's `BigQueryPandasIOManager`, imported where a step needs it: pandas takes 50 MB and a second."""

    cloud: GoogleCloud

    def create_io_manager(self, context: dg.InitResourceContext) -> Any:
        """Makes it."""
        from taxi_assets.stores.bigquery.pandas_io_manager import TaxiBigQueryPandasIOManager

        return TaxiBigQueryPandasIOManager.of(self.cloud).create_io_manager(context)


class BigQueryIOManager(dg.ConfigurableIOManager):
    """Loads a month of the lake into the table that its asset's metadata names."""

    cloud: GoogleCloud
    postgres: PostgresResource

    def _table(self, context: dg.OutputContext | dg.InputContext) -> TableRef:
        return bigquery_table(declared_table(context), self.cloud.project, self.cloud.dataset)

    def handle_output(self, context: dg.OutputContext, obj: LakeLoad) -> None:
        """Replaces the month in its table.

        Raises:
            Failure: The load failed; the table is as it was.
        """
        table, provenance = self._table(context), Provenance.of(context)
        name = f"load {obj.entry.service} {obj.month} into BigQuery"
        # As in the lake; and two first loads of a month, which delete nothing, would not be in each other's way.
        with dagster_failures(), self.postgres.month_locked(f"{table} {obj.month}"):
            with progress.task(name, "rows") as report:
                done = replace_month(self.cloud, obj, table.namespace, table.name, provenance.run_id)
                report(done.rows, done.rows)
            entry = replace(
                obj.entry,
                store="bigquery",
                place=str(table),
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
                "look": dg.MetadataValue.md(_look(done.place, obj.entry.source_month)),
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
            return self.postgres.newest_load("bigquery", service, month, str(self._table(context)))


def _look(place: str, month: date) -> str:
    return f"`taxi bq \"select * from {place} where source_month = '{month}' limit 10\"`"  # noqa: S608
